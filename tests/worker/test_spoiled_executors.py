"""Scripts whose process is spoiled by one mini-batch, so that all that follow fail in it."""

from pathlib import Path

import pytest

from mpibatch.attempts import AttemptOutcome, Flag
from mpibatch.config.choices import ExecutorRestart
from mpibatch.worker.messages import ExecutorReplaced
from tests.worker.sandboxed_executor import SandboxedExecutor

pytestmark = pytest.mark.processes

SPOILED = """
STUCK = []
def run(mini_batch):
    with open("runs", "a") as file:
        print(os.getpid(), *names(mini_batch), file=file)
    if "bad" in names(mini_batch):
        STUCK.append(1)
    if STUCK:
        raise RuntimeError("device-side assert")
    return names(mini_batch)
"""


@pytest.mark.parametrize(
    "setting", [ExecutorRestart.AUTO, ExecutorRestart.ON_FAILURE, ExecutorRestart.ON_REPEATED_FAILURE]
)
@pytest.mark.parametrize("packet_size", [1, 4])
def test_only_the_mini_batch_that_spoils_its_process_fails(
    tmp_path: Path, setting: ExecutorRestart, packet_size: int
) -> None:
    """A device-side assert lost all that followed it."""
    names = [["a"], ["bad"], ["b"], ["c"], ["d"], ["e"], ["f"]]
    with SandboxedExecutor(tmp_path, SPOILED, executor_restart=setting) as sandbox:
        sandbox.run(*names, packet_size=packet_size)
        ended = sandbox.ended(len(names))
        failed = [attempt.index for attempt in ended if attempt.cause is not AttemptOutcome.SUCCEEDED]
        assert failed == [1]
        (replaced,) = sandbox.of(ExecutorReplaced)
        assert "device-side assert" in replaced.reason


def test_never_lets_a_spoiled_process_go_on(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, SPOILED, executor_restart=ExecutorRestart.NEVER) as sandbox:
        sandbox.run(["bad"], ["b"])
        assert [attempt.succeeded for attempt in sandbox.ended(2)] == [0, 0]


def test_a_retry_runs_in_another_process(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, SPOILED) as sandbox:
        for tries in (1, 2, 3):
            sandbox.run(["bad"], tries=tries)
            sandbox.ended(tries)
        processes = [line.split()[0] for line in sandbox.note("runs")]
        assert len(processes) == len(set(processes)) == 3


@pytest.mark.parametrize("setting", [ExecutorRestart.AUTO, ExecutorRestart.ON_REPEATED_FAILURE])
def test_parts_run_in_a_clean_process(tmp_path: Path, setting: ExecutorRestart) -> None:
    """Isolation of a mini-batch with one item that spoils the process loses that item alone."""
    items = ["a", "b", "bad", "c", "d", "e", "f"]
    with SandboxedExecutor(tmp_path, SPOILED, executor_restart=setting) as sandbox:
        sandbox.run(items)
        sandbox.ended(1)
        sandbox.run(items, tries=1, isolate_items=len(items))
        sandbox.until(lambda: len(sandbox.attempts) == 2)
        isolated = sandbox.attempts[1]
        assert isolated.flags & Flag.ISOLATED
        assert isolated.rows.split() == [item for item in items if item != "bad"]
