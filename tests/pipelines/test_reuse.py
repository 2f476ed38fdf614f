"""What decides a step's output, and what does not; and that only what is complete is taken."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpibatch.config.load import job_from_data
from mpibatch.config.pipeline_schema import Reuse
from mpibatch.config.schema import Job
from mpibatch.pipelines.reuse import find_earlier, fingerprint, record
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.summary import Durations, ItemCounts, MiniBatchCounts, RunState, Summary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "scripts/score.py": "import beside\ndef run(mini_batch):\n    return mini_batch\n",
        "scripts/beside.py": "x = 1\n",
        "data/a.txt": "aaaa",
        "model/weights": "1234",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


class Folder:
    """A workspace in which every model is the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model(self, reference: str) -> tuple[str, str]:
        return reference, str(self.folder / "model")

    def dataset(self, reference: str) -> tuple[str, dict[str, Any]]:
        raise AssertionError(reference)


def job(folder: Path, model: str = "a:1", **config: Any) -> Job:
    return job_from_data(
        {
            "name": "tested",
            "inputs": {"texts": {"type": "files", "path": "data"}},
            "side_inputs": {"model": {"model": model}},
            "arguments": ["--model", "${{ side_inputs.model }}"],
            "parallel_run_config": {"source_directory": "scripts", "entry_script": "score.py", **config},
        },
        folder,
        registered=Folder(folder),
    )


def edit(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        edit("scripts/score.py", "def run(mini_batch):\n    return []\n"),
        edit("scripts/beside.py", "x = 2\n"),
        edit("scripts/new.py", ""),
        edit("data/a.txt", "another size"),
        edit("data/b.txt", ""),
        edit("model/weights", "another size"),
        lambda folder: os.utime(folder / "data" / "a.txt", (1, 1)),
    ],
)
def test_a_changed_file_changes_the_fingerprint(folder: Path, change: Callable[[Path], object]) -> None:
    before = fingerprint(job(folder), Reuse.METADATA)
    assert fingerprint(job(folder), Reuse.METADATA) == before
    change(folder)
    assert fingerprint(job(folder), Reuse.METADATA) != before


def test_settings_that_change_rows_do_and_others_do_not(folder: Path) -> None:
    before = fingerprint(job(folder), Reuse.METADATA)
    for changed in (
        job(folder, mini_batch_size=3),
        job(folder, append_row_file_name="rows.csv"),
        job(folder, environment_variables={"A": "1"}),
        job(folder, model="a:2"),
        replace(job(folder), arguments=("--other",)),
    ):
        assert fingerprint(changed, Reuse.METADATA) != before
    for same in (job(folder, process_count_per_node=7, run_invocation_timeout=5), replace(job(folder), name="other")):
        assert fingerprint(same, Reuse.METADATA) == before


def test_strict_looks_at_content_alone(folder: Path) -> None:
    before = fingerprint(job(folder), Reuse.STRICT)
    os.utime(folder / "data" / "a.txt", (1, 1))
    assert fingerprint(job(folder), Reuse.STRICT) == before
    found = (folder / "data" / "a.txt").stat()
    (folder / "data" / "a.txt").write_text("bbbb")
    os.utime(folder / "data" / "a.txt", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert fingerprint(job(folder), Reuse.STRICT) != before


def test_a_new_cache_of_python_or_a_place_elsewhere_changes_nothing(folder: Path) -> None:
    """Executors write __pycache__, and each run has its own copy of the scripts."""
    before = fingerprint(job(folder), Reuse.METADATA)
    (folder / "scripts" / "__pycache__").mkdir()
    (folder / "scripts" / "__pycache__" / "beside.pyc").write_text("x")
    (folder / "scripts").rename(folder / "copied")
    (folder / "scripts").symlink_to("copied")
    assert fingerprint(job(folder), Reuse.METADATA) == before


def ended(directory: RunDirectory, status: RunState, output: str | None = None) -> None:
    counts = MiniBatchCounts(1, 1, 0, 0)
    Summary(status, "", counts, ItemCounts(1, 1, 0), {}, Durations(1, 0, 1), output, 1, 0).write(directory)


@pytest.mark.parametrize("status", [RunState.ABORTED, RunState.STOPPED, None])
def test_only_a_complete_step_is_taken(tmp_path: Path, status: RunState | None) -> None:
    step = create_at(tmp_path / "run" / "steps" / "one")
    record(tmp_path, "abc", step.path)
    if status is not None:
        ended(step, status)
    assert find_earlier(tmp_path, "abc") is None
    ended(step, RunState.COMPLETED)
    assert find_earlier(tmp_path, "abc") == step.path
    assert find_earlier(tmp_path, "def") is None


def test_an_output_that_is_gone_is_not_taken(tmp_path: Path) -> None:
    step = create_at(tmp_path / "run" / "steps" / "one")
    record(tmp_path, "abc", step.path)
    ended(step, RunState.COMPLETED, output="outputs/rows.txt")
    assert find_earlier(tmp_path, "abc") is None
    (step.outputs / "rows.txt").touch()
    assert find_earlier(tmp_path, "abc") == step.path
