"""status.json is written beside the loop: the latest, in order, and nothing after the end."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mpibatch.errors import RunDirectoryError
from mpibatch.mpi.status_thread import StatusThread
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.summary import Summary
from tests.conftest import wait_for
from tests.runs.records import ended_run


def test_of_those_that_came_meanwhile_the_latest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[float] = []
    first, stalled = threading.Event(), threading.Event()

    def write(self: Summary, directory: RunDirectory) -> None:
        first.set()
        stalled.wait()
        written.append(self.updated)

    monkeypatch.setattr(Summary, "write_status", write)
    thread = StatusThread(RunDirectory(tmp_path))
    thread.put(replace(ended_run("running"), updated=0.0))
    first.wait()
    for updated in (1.0, 2.0, 3.0):
        thread.put(replace(ended_run("running"), updated=updated))
    stalled.set()
    wait_for(lambda: len(written) == 2)
    thread.stop()
    assert written == [0.0, 3.0]


def test_a_disk_that_is_full_is_told_with_the_next(tmp_path: Path) -> None:
    thread = StatusThread(RunDirectory(tmp_path / "gone"))
    thread.put(ended_run("running"))

    def told() -> bool:
        try:
            thread.put(ended_run("running"))
        except RunDirectoryError:
            return True
        return False

    wait_for(told)
    thread.stop()


def test_nothing_is_there_to_stop(tmp_path: Path) -> None:
    StatusThread(RunDirectory(tmp_path)).stop()
