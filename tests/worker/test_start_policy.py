"""Executors that cannot be started: what may pass is waited for, what was opened for them is closed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mpibatch.attempts import Failure
from mpibatch.config.schema import RowFormat
from mpibatch.liveness.timers import START_PATIENCE_SECONDS
from mpibatch.output import open_encoder
from mpibatch.worker.executor_process import ExecutorProcess
from mpibatch.worker.messages import Drain, StartFailed, WorkerExited, WorkerReady, WorkerRetired
from mpibatch.worker.start_policy import LONGEST_PAUSE, MAX_FAILED_STARTS, StartPolicy
from mpibatch.worker.worker import Worker
from tests.worker.sandboxed_executor import SandboxedExecutor

NO_ROOM = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def policy(clock: Clock) -> StartPolicy:
    return StartPolicy(rank=3, host="node7", clock=clock)


def test_pauses_grow_until_the_rank_retires(policy: StartPolicy, clock: Clock) -> None:
    """It is told once, and again when it is given up."""
    (told,) = policy.on_not_started(NO_ROOM)
    assert isinstance(told, StartFailed)
    pauses = []
    while True:
        assert not policy.is_due()
        pauses.append((policy.due or 0.0) - clock.now)
        clock.now += pauses[-1]
        assert policy.is_due()
        if reports := policy.on_not_started(NO_ROOM):
            break
    assert [type(report) for report in reports] == [WorkerRetired]
    assert policy.due is None
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    assert START_PATIENCE_SECONDS < clock.now < START_PATIENCE_SECONDS + 2 * LONGEST_PAUSE
    assert reports[0].failure.error == f"{told.failure.error}, tried again for 600 s (start_patience)"
    assert "node7" in told.failure.error
    assert "Resource temporarily unavailable" in told.failure.error


def test_a_start_begins_the_pauses_anew(policy: StartPolicy, clock: Clock) -> None:
    policy.on_not_started(NO_ROOM)
    first = policy.due
    for _ in range(5):
        policy.on_not_started(NO_ROOM)
    policy.on_started()
    assert not policy.is_due()
    assert [type(report) for report in policy.on_not_started(NO_ROOM)] == [StartFailed]
    assert policy.due == first


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.ENOSPC, errno.E2BIG])
def test_what_will_not_pass_is_not_waited_for(policy: StartPolicy, number: int) -> None:
    assert [type(report) for report in policy.on_not_started(OSError(number, ""))] == [WorkerRetired]
    assert policy.due is None


def test_executors_that_end_before_they_have_worked(policy: StartPolicy) -> None:
    """An attempt that has ended in one shows that the script is not broken."""
    failure = Failure("init", "broken")
    assert [type(policy.on_ended(failure)) for _ in range(MAX_FAILED_STARTS - 1)] == [StartFailed] * 2
    policy.on_worked()
    ends = [type(policy.on_ended(failure)) for _ in range(MAX_FAILED_STARTS)]
    assert ends == [StartFailed, StartFailed, WorkerRetired]


def worker_of(sandbox: SandboxedExecutor, start: Callable[[], ExecutorProcess]) -> Worker:
    """One with another `start`; the sandbox's own has ended."""
    sandbox.worker.kill()
    sandbox.reports.clear()
    return Worker(sandbox.settings, start, open_encoder("out.txt", RowFormat()))


@pytest.mark.processes
def test_a_worker_waits_for_room(tmp_path: Path) -> None:
    """The first process of a rank, and a later one: each was the end of the run, or of the rank's part in it."""
    with SandboxedExecutor(tmp_path, "def run(mini_batch):\n    os._exit(3)\n") as sandbox:
        calls: list[int] = []

        def start() -> ExecutorProcess:
            calls.append(1)
            if len(calls) not in (3, 5):
                raise NO_ROOM
            return sandbox.start()

        sandbox.worker = worker_of(sandbox, start)
        sandbox.run(["a"])
        sandbox.until(lambda: len(calls) == 5 and sandbox.attempts)
        assert [type(report) for report in sandbox.reports[:2]] == [StartFailed, WorkerReady]
        assert not sandbox.of(WorkerRetired)


@pytest.mark.processes
def test_a_worker_that_waits_for_room_hears_that_the_run_stops(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, "def run(mini_batch):\n    return mini_batch\n") as sandbox:

        def start() -> ExecutorProcess:
            raise NO_ROOM

        sandbox.worker = worker_of(sandbox, start)
        sandbox.run(["a"])
        sandbox.worker.handle(Drain(grace=10))
        assert sandbox.worker.finished
        sandbox.shutdown()
        assert sandbox.of(WorkerExited)


@pytest.mark.processes
def test_a_process_that_cannot_be_made_leaves_nothing_open(tmp_path: Path) -> None:
    """It is tried again, many times."""
    too_large = {"LARGE": "x" * (1 << 20)}
    with SandboxedExecutor(
        tmp_path, "def run(mini_batch):\n    return mini_batch\n", environment_variables=too_large
    ) as sandbox:
        sandbox.poll()
        assert "Argument list too long" in sandbox.of(WorkerRetired)[0].failure.error
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="Argument list too long"):
            sandbox.start()
        assert os.listdir("/proc/self/fd") == before
