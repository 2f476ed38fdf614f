"""Mini-batches that other ranks have finished: wherever they are, they are left off, and nobody is charged."""

import time
from pathlib import Path

import pytest

from mpibatch.worker.messages import CancelTasks, ExecutorRestarted, Shutdown, StartFailed, TasksReturned, WorkerExited
from tests.worker.sandboxed_executor import SandboxedExecutor

pytestmark = pytest.mark.processes

STUCK = """
def run(mini_batch):
    if "stuck" in names(mini_batch):
        Path("begun.txt").touch()
        time.sleep(1000)
    while "gated" in names(mini_batch) and not os.path.exists("open"):
        time.sleep(0.005)
    return names(mini_batch)
"""


def no_other(sandbox: SandboxedExecutor, expected: list[str]) -> None:
    """These rows have come, each once, nothing is said of others, and no failure of any kind."""
    for _ in range(50):
        sandbox.poll()
        time.sleep(0.002)
    assert [attempt.rows for attempt in sandbox.ended(len(expected))] == [f"{row}\n" for row in expected]
    assert not sandbox.of(TasksReturned)
    assert not sandbox.of(StartFailed)


@pytest.mark.parametrize("packet_size", [1, 3])
def test_an_executor_that_is_at_one_is_ended_and_the_next_does_the_others(packet_size: int, tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, STUCK) as sandbox:
        sandbox.run(["stuck"], ["1"], ["2"], packet_size=packet_size)
        sandbox.until_running(0)
        sandbox.worker.handle(CancelTasks([0]))
        sandbox.ended(2)
        no_other(sandbox, ["1", "2"])
        assert len(sandbox.of(ExecutorRestarted)) == 1


def test_one_that_waits_is_never_begun(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, STUCK) as sandbox:
        sandbox.run(["gated"], ["stuck"], ["2"])
        sandbox.until_running(0)
        sandbox.worker.handle(CancelTasks([1]))
        (tmp_path / "open").touch()
        sandbox.ended(2)
        no_other(sandbox, ["gated", "2"])
        assert not (tmp_path / "begun.txt").exists()
        assert not sandbox.of(ExecutorRestarted)


def test_one_that_the_executor_has_taken_is_ended_when_it_begins(tmp_path: Path) -> None:
    """It cannot be had back from a packet that is being worked on."""
    with SandboxedExecutor(tmp_path, STUCK) as sandbox:
        sandbox.run(["gated"], ["stuck"], ["2"], packet_size=3)
        sandbox.until_running(0)
        sandbox.worker.handle(CancelTasks([1]))
        (tmp_path / "open").touch()
        sandbox.ended(2)
        no_other(sandbox, ["gated", "2"])


def test_what_has_ended_here_too_ends_no_executor(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, STUCK) as sandbox:
        sandbox.run(["0"], ["1"])
        sandbox.ended(2)
        sandbox.worker.handle(CancelTasks([0, 1, 7]))
        sandbox.run(["2"], first=2)
        sandbox.ended(3)
        no_other(sandbox, ["0", "1", "2"])
        assert not sandbox.of(ExecutorRestarted)


def test_one_that_waits_for_the_executor_to_start_is_never_begun(tmp_path: Path) -> None:
    script = "def init():\n    while not os.path.exists('open'): time.sleep(0.005)\n" + STUCK
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["stuck"], ["1"])
        sandbox.worker.handle(CancelTasks([0]))
        (tmp_path / "open").touch()
        sandbox.ended(1)
        no_other(sandbox, ["1"])


def test_a_run_that_is_over_waits_for_none_of_them(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, STUCK) as sandbox:
        sandbox.run(["stuck"])
        sandbox.until_running(0)
        sandbox.worker.handle(CancelTasks([0]))
        sandbox.worker.handle(Shutdown(kill=False))
        sandbox.until(lambda: sandbox.of(WorkerExited), seconds=15)
        assert not sandbox.attempts
        assert not sandbox.of(StartFailed)
