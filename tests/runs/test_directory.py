"""The run directory: nothing is overwritten, `latest` points to the newest, small files are never half there."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from mpibatch.errors import RunDirectoryError
from mpibatch.files import read_json, write_json
from mpibatch.runs.directory import create, create_at


def test_each_run_has_its_own_and_latest_is_the_newest(tmp_path: Path) -> None:
    made = [create(tmp_path / "runs") for _ in range(3)]
    assert len({directory.path for directory in made}) == 3
    assert (tmp_path / "runs" / "latest").resolve() == made[-1].path
    assert not os.path.isabs(os.readlink(tmp_path / "runs" / "latest")), "the folder may be moved"
    assert made[0].outputs.is_dir()
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(
        [*(directory.path.name for directory in made), "latest"]
    )


def test_a_folder_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "mine").write_text("kept")
    made = create(tmp_path)
    assert (tmp_path / "latest" / "mine").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} == {"latest", made.path.name}


def test_an_existing_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert create_at(tmp_path / "run").path == tmp_path / "run"


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert create_at(Path("run")).path == tmp_path / "run"


def test_what_is_written_into_one_that_was_deleted_does_not_make_it_again(tmp_path: Path) -> None:
    directory = create_at(tmp_path / "run")
    log = directory.rank_log("user/stdout", "here", 0)
    directory.make_parent(log)
    assert log.parent.is_dir()
    shutil.rmtree(directory.path)
    with pytest.raises(FileNotFoundError):
        directory.make_parent(log)
    assert not directory.path.exists()


def test_a_file_in_the_way_is_reported(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunDirectoryError, match="cannot make the run directory"):
        create(tmp_path / "runs")


def test_json_is_replaced_whole(tmp_path: Path) -> None:
    """A reader beside a writer sees the old text or the new one, never a part."""
    path = tmp_path / "status.json"
    write_json(path, {"n": 0, "filler": ""})
    done = threading.Event()

    def write() -> None:
        for n in range(300):
            write_json(path, {"n": n, "filler": "x" * (n * 100)})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not done.is_set():
        value = json.loads(path.read_text(encoding="utf-8"))
        assert len(value["filler"]) == 100 * value["n"]
        reads += 1
    writer.join()
    assert reads
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_json_with_any_text_reads_back(tmp_path: Path) -> None:
    value = {"text": "\u00e9 \u2028 \U0001f600 \n"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_names_that_are_no_utf8_can_be_written(tmp_path: Path) -> None:
    """A path with a byte that is no UTF-8 reaches summary.json as a lone surrogate."""
    write_json(tmp_path / "a.json", {"output": "/data/\udcff.txt"})
    assert read_json(tmp_path / "a.json") == {"output": "/data/\udcff.txt"}


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "\x00"])
def test_what_is_no_json_object_is_reported(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunDirectoryError, match="a run directory\\?"):
        read_json(tmp_path / "run.json")
