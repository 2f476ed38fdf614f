"""Who becomes the owner of a run directory, and when there is nothing left to own."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mpibatch.liveness.lease import Owner
from mpibatch.mpi.coordinator_main import acquire_run
from mpibatch.mpi.signals import StopSignals
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.resume import ResumeOptions
from tests.runs.records import ended_run


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


class NoSignals(StopSignals):
    def __init__(self) -> None:
        """Leaves those of pytest alone."""

    def drain(self) -> list[int]:
        return []


@pytest.fixture
def last_owner(directory: RunDirectory) -> Iterator[threading.Thread]:
    """On another machine; it completes the run and releases its lease while it is waited for."""
    owner = directory.path / "owner.json"
    owner.write_text(json.dumps(asdict(replace(Owner.current(), host="elsewhere", boot_id="another"))))

    def end() -> None:
        time.sleep(1.5)
        ended_run("completed").write(directory)
        owner.unlink()

    thread = threading.Thread(target=end)
    thread.start()
    yield thread
    thread.join()


@pytest.mark.usefixtures("last_owner")
def test_a_run_that_its_last_owner_completes_meanwhile_is_not_done_again(directory: RunDirectory) -> None:
    notes: list[str] = []
    assert acquire_run(directory, ResumeOptions(), NoSignals(), notes.append) is None
    assert "names an owner on elsewhere" in notes[0]
    assert "nothing left to do" in notes[-1]
    assert not (directory.path / "owner.json").exists()


def test_a_run_that_is_not_complete_is_acquired(directory: RunDirectory) -> None:
    lease = acquire_run(directory, ResumeOptions(), NoSignals(), pytest.fail)
    assert lease is not None
    lease.release()
