"""Run: what a script leaves, also outside of a run, and names that lead out."""

from pathlib import Path

import numpy as np
import pytest

from mpibatch.errors import WorkspaceError
from mpibatch.sdk.run import Run


def test_everything_that_is_logged_is_read_back(tmp_path: Path) -> None:
    """Of each kind; NumPy's scalars as numbers; several values as a list."""
    run = Run(tmp_path / "run")
    run.log("a", np.float32(0.5))
    run.log("b", 1)
    run.log("b", 2)
    run.log_list("c", [1, 2])
    run.log_row("d", x=1, y=2)
    run.log_table("e", {"x": [1]})
    run.set_tags({"t": 1})
    run.add_properties({"p": 2})
    assert run.get_metrics() == {"a": 0.5, "b": [1, 2], "c": [1, 2], "d": {"x": 1, "y": 2}, "e": {"x": [1]}}
    assert (run.get_tags(), run.get_properties()) == ({"t": "1"}, {"p": "2"})
    with (tmp_path / "run" / "metrics" / "rank0.jsonl").open("a") as file:
        file.write('{"cut')
    assert run.get_metrics("a") == {"a": 0.5}


def test_children_and_their_end(tmp_path: Path) -> None:
    """Each has what it logged itself."""
    run = Run(tmp_path / "run")
    with run.child_run("../part") as child:
        child.log("a", 1)
    with pytest.raises(RuntimeError, match="no"), run.child_run("bad"):
        raise RuntimeError("no")
    assert sorted(found.get_status() for found in run.get_children()) == ["Completed", "Failed: no"]
    assert (child.parent, run.get_metrics(), child.get_metrics()) == (run, {}, {"a": 1})
    assert all(tmp_path / "run" / "children" in found._directory.parents for found in run.get_children())


def test_files(tmp_path: Path) -> None:
    """Files and folders under names; none leads out of the run."""
    run = Run(tmp_path / "run")
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "f").write_text("x")
    run.upload_folder("outputs/all", str(tmp_path / "in"))
    run.upload_files(["g"], [str(tmp_path / "in" / "deep" / "f")])
    assert run.get_file_names() == ["g", "outputs/all/deep/f"]
    run.download_file("g", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "x"
    for name in ("../evil", "/evil", "a/../../evil"):
        with pytest.raises(WorkspaceError, match="no name for a file"):
            run.upload_file(name, str(tmp_path / "copy"))
    with pytest.raises(WorkspaceError, match="has no file 'h'"):
        run.download_file("h")


def test_outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts can be tried; a program that must be in a run can ask for that."""
    monkeypatch.delenv("MPIBATCH_RUN_DIR", raising=False)
    run = Run.get_context()
    run.log("a", 1)
    assert run.get_metrics() == {"a": 1}
    assert run.parent is None
    with pytest.raises(WorkspaceError, match="not part of a run"):
        Run.get_context(allow_offline=False)
