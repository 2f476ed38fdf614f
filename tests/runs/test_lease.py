"""One owner a run directory: who is refused, who takes over, and who finds out that it has been taken over."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mpibatch.errors import RunDirectoryError, StoppedEarly, UsageError
from mpibatch.runs import lease as leases
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.lease import LEASE_SECONDS, Lease, Owner, acquire, refuse_if_owned


class Clock:
    """In place of time: `wait` lets it go on, and something happen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None] = lambda: None) -> None:
        self.now = 1000.0
        self.happens = happens
        monkeypatch.setattr(leases, "_now", lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.happens()


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return create_at(tmp_path / "run")


def owned_by(directory: RunDirectory, owner: Owner) -> Owner:
    (directory.path / "owner.json").write_text(json.dumps(asdict(owner)))
    return owner


def elsewhere() -> Owner:
    return replace(Owner.me(), host="another-host", boot_id="another start of another machine")


def dead() -> Owner:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return replace(Owner.me(), pid=ended.pid)


def hidden(directory: RunDirectory) -> list[str]:
    return [path.name for path in directory.path.iterdir() if "owner" in path.name]


def test_a_second_owner_is_refused_until_the_first_has_left(directory: RunDirectory) -> None:
    first = acquire(directory)
    with pytest.raises(UsageError, match=f"in use by process {os.getpid()}"):
        acquire(directory)
    with pytest.raises(UsageError, match="in use"):
        refuse_if_owned(directory)
    first.check()
    first.release()
    refuse_if_owned(directory)
    acquire(directory).release()
    assert hidden(directory) == []


def test_a_dead_process_of_this_machine_is_taken_over_at_once(directory: RunDirectory) -> None:
    owned_by(directory, dead())
    acquire(directory, wait=lambda seconds: pytest.fail("it waited")).release()
    assert hidden(directory) == []


def test_another_process_with_the_same_pid_is_no_owner(directory: RunDirectory) -> None:
    """Pids come round again; the start time does not."""
    owned_by(directory, replace(Owner.me(), began=Owner.me().began - 1))
    acquire(directory).release()


def test_an_owner_elsewhere_whose_beat_advances_is_refused(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it beats seldom: once within the lease is enough."""
    owner = owned_by(directory, elsewhere())
    beat = directory.path / f".owner.{owner.key}.beat"
    beat.write_text("7")
    clock = Clock(monkeypatch)

    def beat_late() -> None:
        if clock.now > 1000 + LEASE_SECONDS - 3:
            beat.write_text("8")

    clock.happens = beat_late
    told: list[str] = []
    with pytest.raises(UsageError, match="on another-host"):
        acquire(directory, clock.wait, told.append)
    assert f"waiting up to {LEASE_SECONDS:g} s" in told[0]


def test_an_owner_elsewhere_that_stands_still_is_taken_over(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = owned_by(directory, elsewhere())
    (directory.path / f".owner.{owner.key}.beat").write_text("7")
    clock = Clock(monkeypatch)
    lease = acquire(directory, clock.wait)
    assert clock.now >= 1000 + LEASE_SECONDS
    lease.release()
    assert hidden(directory) == []


def test_an_owner_elsewhere_that_leaves_is_not_waited_for(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned_by(directory, elsewhere())
    clock = Clock(monkeypatch, lambda: (directory.path / "owner.json").unlink(missing_ok=True))
    acquire(directory, clock.wait).release()
    assert clock.now < 1000 + LEASE_SECONDS / 2


def suspended(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> tuple[Lease, Lease]:
    """An owner that could not beat for longer than the lease, and its successor from another machine."""
    clock = Clock(monkeypatch)
    first = acquire(directory)
    first._stop.set()  # the thread of a stopped process does not run
    first._thread.join()
    owner = Owner(**json.loads((directory.path / "owner.json").read_text()))
    owned_by(directory, replace(owner, boot_id="seen from another machine", host="there"))
    second = acquire(directory, clock.wait)
    return first, second


def test_a_suspended_owner_finds_out_before_it_writes(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = suspended(directory, monkeypatch)
    with pytest.raises(StoppedEarly, match="taken over"):
        first.check()
    second.check()
    first.release()
    second.check()
    assert (directory.path / "owner.json").exists(), "the old owner's goodbye is no goodbye of the new one"
    second.release()


def test_a_late_beat_of_a_suspended_owner_does_not_oust_its_successor(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had seen that the directory was its own just before it was stopped; the beat comes when it wakes up."""
    clock = Clock(monkeypatch)
    first = acquire(directory)
    first._stop.set()
    first._thread.join()
    owner = Owner(**json.loads((directory.path / "owner.json").read_text()))
    owned_by(directory, replace(owner, boot_id="seen from another machine", host="there"))
    successors: list[Lease] = []
    is_mine = Lease._is_mine

    def stopped_after_looking(self: Lease) -> bool:
        mine = is_mine(self)
        if not successors:
            monkeypatch.setattr(Lease, "_is_mine", is_mine)
            successors.append(acquire(directory, clock.wait))
        return mine

    monkeypatch.setattr(Lease, "_is_mine", stopped_after_looking)
    first.beat()
    successors[0].beat()
    successors[0].check()
    with pytest.raises(StoppedEarly):
        first.check()
    successors[0].release()


def test_of_many_successors_one_wins(tmp_path: Path) -> None:
    """All at the same moment, many times: the others are refused, and nobody is ousted."""
    for attempt in range(30):
        directory = create_at(tmp_path / str(attempt))
        owned_by(directory, dead())
        won: list[Lease] = []
        refused: list[UsageError] = []
        start = threading.Barrier(8)

        def succeed(
            directory: RunDirectory = directory,
            won: list[Lease] = won,
            refused: list[UsageError] = refused,
            start: threading.Barrier = start,
        ) -> None:
            start.wait()
            try:
                won.append(acquire(directory))
            except UsageError as error:
                refused.append(error)

        threads = [threading.Thread(target=succeed) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(refused)) == (1, 7)
        won[0].check()
        won[0].release()
        assert hidden(directory) == []


def test_a_successor_that_died_while_it_took_over_is_succeeded(directory: RunDirectory) -> None:
    """It had said that it would (the heir's file), and no more."""
    first, second = owned_by(directory, dead()), dead()
    (directory.path / f".owner.{first.key}.heir").write_text(json.dumps(asdict(second)))
    lease = acquire(directory)
    lease.check()
    lease.release()
    assert hidden(directory) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "\0" * 100])
def test_an_owner_that_nobody_can_read_is_put_aside(directory: RunDirectory, content: str) -> None:
    (directory.path / "owner.json").write_text(content)
    acquire(directory).release()


def test_a_stopped_process_of_this_machine_still_owns(directory: RunDirectory) -> None:
    """It would write again when it goes on."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        sleeper.send_signal(signal.SIGSTOP)
        began = leases.began(sleeper.pid)
        assert began is not None
        owned_by(directory, replace(Owner.me(), pid=sleeper.pid, began=began))
        with pytest.raises(UsageError, match="in use"):
            acquire(directory)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_directory_that_is_gone_is_said(directory: RunDirectory) -> None:
    with pytest.raises(RunDirectoryError, match="cannot write"):
        acquire(RunDirectory(directory.path / "not there"))
