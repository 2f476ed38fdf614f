"""Rows that are large, and an executor that is not read, since what the rank has read is not sent yet."""

import os
import signal
import time
from pathlib import Path

import pytest

from mpibatch.attempts import AttemptOutcome
from mpibatch.types import Phase
from mpibatch.worker.messages import WorkerReady
from tests.worker.sandboxed_executor import SandboxedExecutor, quick

pytestmark = pytest.mark.processes


def test_rows_of_fifty_megabytes(tmp_path: Path) -> None:
    script = "def run(mini_batch): return ['x' * (50 << 20)] if 'big' in names(mini_batch) else names(mini_batch)"
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["big"], ["b"])
        small, big, other = sandbox.ended(3)
        assert (small.rows, other.rows) == ("a\n", "b\n")
        assert len(big.rows) == (50 << 20) + 1
        assert big.rows.strip("x") == "\n"


def test_an_executor_that_is_not_read_waits_and_nothing_is_held_against_it(tmp_path: Path) -> None:
    """While rank 0 does not take the rank's rows; after load_timeout it would be killed, as one that was stopped."""
    script = "def run(mini_batch): return ['x' * (20 << 20)]"
    with SandboxedExecutor(tmp_path, script, quick(load=1.0)) as sandbox:
        sandbox.run(["a"], ["b"])
        sandbox.until(lambda: sandbox.of(WorkerReady))
        executor = sandbox.worker._executor
        assert executor is not None
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert sandbox.worker.poll(reading=False) == []
            time.sleep(0.01)
        status = executor.status_block.read()
        assert status is not None
        assert (status.index, status.phase) == (0, Phase.SEND)
        assert [len(attempt.rows) for attempt in sandbox.ended(2)] == [(20 << 20) + 1] * 2
        assert sandbox.worker._executor is executor


def test_the_end_of_an_executor_that_is_not_read_is_noticed(tmp_path: Path) -> None:
    script = "def run(mini_batch): return ['x' * (20 << 20)] if 'big' in names(mini_batch) else names(mini_batch)"
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["small"], ["big"])
        sandbox.until(lambda: sandbox.of(WorkerReady))
        executor = sandbox.worker._executor
        assert executor is not None
        assert executor.pid is not None
        while (status := executor.status_block.read()) is None or (status.index, status.phase) != (1, Phase.SEND):
            assert sandbox.worker.poll(reading=False) == []
        os.kill(executor.pid, signal.SIGKILL)
        small, big = sandbox.ended(2)
        assert (small.rows, big.cause) == ("small\n", AttemptOutcome.EXECUTOR_CRASH)
