"""Who becomes the owner of a run directory, and when there is nothing left to own."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mpibatch.mpi.lead import own
from mpibatch.mpi.member import Signals
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.lease import Owner
from mpibatch.runs.record import Wishes

COMPLETED = {"status": "completed", "output": None, "items": {"failed": 0}}


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


class NoSignals(Signals):
    def __init__(self) -> None:
        """Leaves those of pytest alone."""

    def take(self) -> list[int]:
        return []


@pytest.fixture
def last_owner(directory: RunDirectory) -> Iterator[threading.Thread]:
    """On another machine; it completes the run and says goodbye while it is waited for."""
    owner = directory.path / "owner.json"
    owner.write_text(json.dumps(asdict(replace(Owner.me(), host="elsewhere", boot_id="another"))))

    def end() -> None:
        time.sleep(1.5)
        directory.summary.write_text(json.dumps(COMPLETED))
        owner.unlink()

    thread = threading.Thread(target=end)
    thread.start()
    yield thread
    thread.join()


@pytest.mark.usefixtures("last_owner")
def test_a_run_that_its_last_owner_completes_meanwhile_is_not_done_again(directory: RunDirectory) -> None:
    told: list[str] = []
    assert own(directory, Wishes(), NoSignals(), told.append) is None
    assert "names an owner on elsewhere" in told[0]
    assert "nothing left to do" in told[-1]
    assert not (directory.path / "owner.json").exists()


def test_a_run_that_is_not_complete_is_owned(directory: RunDirectory) -> None:
    lease = own(directory, Wishes(), NoSignals(), pytest.fail)
    assert lease is not None
    lease.release()
