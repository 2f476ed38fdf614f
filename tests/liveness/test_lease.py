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
from mpibatch.liveness import lease as leases
from mpibatch.liveness.lease import Lease, Owner, acquire, ensure_unowned
from mpibatch.liveness.process_tree import start_ticks
from mpibatch.liveness.timers import LEASE_SECONDS
from mpibatch.runs.directory import RunDirectory, create_at


class Clock:
    """In place of time: `wait` lets it go on, and something happen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object] = lambda: None) -> None:
        self.now = 1000.0
        self.happens = happens
        monkeypatch.setattr(leases, "_now", lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.happens()


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return create_at(tmp_path / "run")


def write_owner(directory: RunDirectory, owner: Owner) -> Owner:
    (directory.path / "owner.json").write_text(json.dumps(asdict(owner)))
    return owner


def elsewhere() -> Owner:
    return replace(Owner.current(), host="another-host", boot_id="another start of another machine")


def dead() -> Owner:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return replace(Owner.current(), pid=ended.pid)


def hidden(directory: RunDirectory) -> list[str]:
    return [path.name for path in directory.path.iterdir() if "owner" in path.name]


def test_a_second_owner_is_refused_until_the_first_has_left(directory: RunDirectory) -> None:
    first = acquire(directory.path)
    with pytest.raises(UsageError, match=f"in use by process {os.getpid()}"):
        acquire(directory.path)
    with pytest.raises(UsageError, match="in use"):
        ensure_unowned(directory.path)
    first.check()
    first.release()
    ensure_unowned(directory.path)
    acquire(directory.path).release()
    assert hidden(directory) == []


def test_a_dead_process_of_this_machine_is_taken_over_at_once(directory: RunDirectory) -> None:
    write_owner(directory, dead())
    acquire(directory.path, wait=lambda seconds: pytest.fail("it waited")).release()
    assert hidden(directory) == []


def test_another_process_with_the_same_pid_is_no_owner(directory: RunDirectory) -> None:
    """Pids come round again; the start time does not."""
    write_owner(directory, replace(Owner.current(), start_ticks=Owner.current().start_ticks - 1))
    acquire(directory.path).release()


def test_an_owner_elsewhere_that_renews_its_lease_keeps_it(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it renews seldom: once within the lease is enough."""
    owner = write_owner(directory, elsewhere())
    renewals = directory.path / f".owner.{owner.key}.renewals"
    renewals.write_text("7")
    clock = Clock(monkeypatch)

    def renew_late() -> None:
        if clock.now > 1000 + LEASE_SECONDS - 3:
            renewals.write_text("8")

    clock.happens = renew_late
    notes: list[str] = []
    with pytest.raises(UsageError, match="on another-host"):
        acquire(directory.path, clock.wait, notes.append)
    assert f"waiting up to {LEASE_SECONDS:g} s" in notes[0]


@pytest.mark.parametrize("renews", [True, False])
def test_an_owner_whose_process_cannot_be_seen_is_judged_by_its_renewals(
    renews: bool, directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /proc shows only one's own processes (hidepid), a pid that is not there proves nothing."""
    owner = write_owner(directory, replace(Owner.current(), pid=os.getppid()))
    renewals = directory.path / f".owner.{owner.key}.renewals"
    renewals.write_text("7")
    monkeypatch.setattr(leases, "start_ticks", lambda pid: start_ticks(pid) if pid == os.getpid() else None)
    clock = Clock(monkeypatch, lambda: renewals.write_text(str(clock.now) if renews else "7"))
    if renews:
        with pytest.raises(UsageError, match="in use"):
            acquire(directory.path, clock.wait)
    else:
        acquire(directory.path, clock.wait).release()
        assert clock.now >= 1000 + LEASE_SECONDS


@pytest.mark.parametrize("content", ["", "{", '{"key": 1}'])
def test_an_owner_file_that_cannot_be_read_is_put_aside_only_if_nobody_renews(
    content: str, directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory.path / "owner.json").write_text(content)
    renewals = directory.path / ".owner.somebody.renewals"
    clock = Clock(monkeypatch, lambda: renewals.write_text(str(clock.now)))
    with pytest.raises(UsageError, match="cannot be read, but its owner renews"):
        acquire(directory.path, clock.wait)
    clock.happens = lambda: None
    acquire(directory.path, clock.wait).release()


def test_one_failed_read_does_not_oust_a_live_owner(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    first, read, reads = acquire(directory.path), leases._read, iter([True])
    monkeypatch.setattr(leases, "_read", lambda path: None if next(reads, False) else read(path))
    with pytest.raises(UsageError, match="in use"):
        acquire(directory.path)
    first.check()
    first.release()


def test_an_owner_elsewhere_that_stands_still_is_taken_over(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = write_owner(directory, elsewhere())
    (directory.path / f".owner.{owner.key}.renewals").write_text("7")
    clock = Clock(monkeypatch)
    lease = acquire(directory.path, clock.wait)
    assert clock.now >= 1000 + LEASE_SECONDS
    lease.release()
    assert hidden(directory) == []


def test_an_owner_elsewhere_that_leaves_is_not_waited_for(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_owner(directory, elsewhere())
    clock = Clock(monkeypatch, lambda: (directory.path / "owner.json").unlink(missing_ok=True))
    acquire(directory.path, clock.wait).release()
    assert clock.now < 1000 + LEASE_SECONDS / 2


def suspended(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> tuple[Lease, Lease]:
    """An owner that could not renew for longer than the lease, and its successor from another machine."""
    clock = Clock(monkeypatch)
    first = acquire(directory.path)
    first._stop.set()  # the thread of a stopped process does not run
    first._thread.join()
    owner = Owner(**json.loads((directory.path / "owner.json").read_text()))
    write_owner(directory, replace(owner, boot_id="seen from another machine", host="there"))
    second = acquire(directory.path, clock.wait)
    return first, second


def test_a_suspended_owner_finds_out_before_it_writes(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = suspended(directory, monkeypatch)
    with pytest.raises(StoppedEarly, match="taken over"):
        first.check()
    second.check()
    first.release()
    second.check()
    assert (directory.path / "owner.json").exists(), "the old owner's release does not end the new one's lease"
    second.release()


def test_a_late_renewal_of_a_suspended_owner_does_not_oust_its_successor(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had seen that the directory was its own just before it was stopped; the renewal comes when it wakes up."""
    clock = Clock(monkeypatch)
    first = acquire(directory.path)
    first._stop.set()
    first._thread.join()
    owner = Owner(**json.loads((directory.path / "owner.json").read_text()))
    write_owner(directory, replace(owner, boot_id="seen from another machine", host="there"))
    successors: list[Lease] = []
    is_mine = Lease._is_mine

    def stopped_after_reading(self: Lease) -> bool:
        mine = is_mine(self)
        if not successors:
            monkeypatch.setattr(Lease, "_is_mine", is_mine)
            successors.append(acquire(directory.path, clock.wait))
        return mine

    monkeypatch.setattr(Lease, "_is_mine", stopped_after_reading)
    first.renew()
    successors[0].renew()
    successors[0].check()
    with pytest.raises(StoppedEarly):
        first.check()
    successors[0].release()


def test_of_many_successors_one_wins(tmp_path: Path) -> None:
    """All at the same moment, many times: the others are refused, and nobody is ousted."""
    for attempt in range(30):
        directory = create_at(tmp_path / str(attempt))
        write_owner(directory, dead())
        won: list[Lease] = []
        refused: list[UsageError] = []
        start = threading.Barrier(8)

        def take_over(
            directory: RunDirectory = directory,
            won: list[Lease] = won,
            refused: list[UsageError] = refused,
            start: threading.Barrier = start,
        ) -> None:
            start.wait()
            try:
                won.append(acquire(directory.path))
            except UsageError as error:
                refused.append(error)

        threads = [threading.Thread(target=take_over) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(refused)) == (1, 7)
        won[0].check()
        won[0].release()
        assert hidden(directory) == []


def test_a_successor_that_died_while_it_took_over_is_taken_over(directory: RunDirectory) -> None:
    """It had made the takeover file, and no more."""
    first, second = write_owner(directory, dead()), dead()
    (directory.path / f".owner.{first.key}.takeover").write_text(json.dumps(asdict(second)))
    lease = acquire(directory.path)
    lease.check()
    lease.release()
    assert hidden(directory) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "\0" * 100])
def test_an_owner_that_nobody_can_read_is_put_aside(
    directory: RunDirectory, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory.path / "owner.json").write_text(content)
    acquire(directory.path, Clock(monkeypatch).wait).release()


def test_a_stopped_process_of_this_machine_still_owns(directory: RunDirectory) -> None:
    """It would write again when it goes on."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        sleeper.send_signal(signal.SIGSTOP)
        ticks = start_ticks(sleeper.pid)
        assert ticks is not None
        write_owner(directory, replace(Owner.current(), pid=sleeper.pid, start_ticks=ticks))
        with pytest.raises(UsageError, match="in use"):
            acquire(directory.path)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_directory_that_is_gone_is_reported(directory: RunDirectory) -> None:
    with pytest.raises(RunDirectoryError, match="cannot write"):
        acquire(directory.path / "not there")
