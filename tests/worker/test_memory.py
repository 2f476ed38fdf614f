"""An executor that grows without end is ended for it, and nobody else; one that leaks is replaced in time."""

from pathlib import Path

import pytest

from mpibatch.attempts import AttemptOutcome
from mpibatch.config.units import format_memory, parse_memory
from mpibatch.worker.messages import ExecutorReplaced, StartFailed
from tests.worker.sandboxed_executor import SandboxedExecutor

pytestmark = pytest.mark.processes

MEGABYTE = 1 << 20

GROW = """
import time
hoard = [b"x" * (180 << 20)]
while True:  # slowly: what grows faster than the monitor looks, on a busy machine too, is test_cgroup.py's
    hoard.append(b"x" * (2 << 20))
    time.sleep(0.1)
"""

SCRIPT = """
def run(mini_batch):
    if names(mini_batch) == ["bad"]:
        {fault}
    return names(mini_batch)
"""

GROWING = {
    "itself": "exec(GROW)",
    "a child": "subprocess.run([sys.executable, '-c', GROW])",
    "a daemon": "subprocess.Popen([sys.executable, '-c', GROW], start_new_session=True); time.sleep(1000)",
}


@pytest.mark.parametrize("what", GROWING)
def test_what_grows_without_end_is_ended_at_the_limit(what: str, tmp_path: Path) -> None:
    """The whole tree counts and goes; the mini-batch is charged, with the figures, and the next ones are done."""
    script = f"GROW = {GROW!r}\n" + SCRIPT.format(fault=GROWING[what])
    with SandboxedExecutor(tmp_path, script, memory_per_process="250MB") as sandbox:
        sandbox.run(["a"], ["bad"], ["b"])
        good, bad, other = sandbox.ended(3)
        assert (good.rows, other.rows) == ("a\n", "b\n")
        assert (bad.cause, bad.succeeded) == (AttemptOutcome.OUT_OF_MEMORY, 0)
        assert bad.memory > 250 * MEGABYTE
        error = bad.failures[0].error
        assert f"in run() of mini-batch 1, used {format_memory(bad.memory)} of memory" in error
        assert "more than memory_per_process: 250MB, and was ended" in error
        assert ("2 processes, the largest, python" in error) == (what != "itself")
        assert 0 < good.memory < 250 * MEGABYTE
        assert not sandbox.of(StartFailed)


def test_shared_memory_counts_once(tmp_path: Path) -> None:
    """Workers that a script forks share its data: together they are far below the sum of their sizes."""
    script = """
    def run(mini_batch):
        data = b"x" * (120 << 20)
        children = [os.fork() for _ in range(3)]
        if 0 in children:
            sum(data[::4096])
            time.sleep(2)  # a busy machine takes long for a look, and then looks less often
            os._exit(0)
        for child in children:
            os.waitpid(child, 0)
        return names(mini_batch)
    """
    script = script.replace("[os.fork() for _ in range(3)]", "forked(3)")
    head = """
    def forked(count):
        children = []
        for _ in range(count):
            children.append(os.fork())
            if not children[-1]:
                break
        return children
    """
    with SandboxedExecutor(tmp_path, head + script, memory_per_process="300MB") as sandbox:
        sandbox.run(["a"])
        (attempt,) = sandbox.ended(1)
        assert attempt.rows == "a\n"
        assert 120 * MEGABYTE < attempt.memory < 300 * MEGABYTE


def test_one_that_leaks_is_replaced_between_mini_batches(tmp_path: Path) -> None:
    script = """
    hoard = []

    def init():
        with open("inits.txt", "a") as file:
            print(os.getpid(), file=file)

    def run(mini_batch):
        hoard.append(b"x" * (60 << 20))
        time.sleep(0.3)
        return names(mini_batch)
    """
    with SandboxedExecutor(tmp_path, script, replace_above="150MB") as sandbox:
        sandbox.run(*[[name] for name in "abcdef"])
        assert [attempt.rows for attempt in sandbox.ended(6)] == [f"{name}\n" for name in "abcdef"]
        assert len(sandbox.note("inits.txt")) > 1
        (replaced,) = sandbox.of(ExecutorReplaced)
        assert "of memory (replace_above)" in replaced.reason
        assert all(attempt.memory < 300 * MEGABYTE for attempt in sandbox.attempts)


def test_amounts() -> None:
    assert parse_memory("16GB") == 16 * 1024**3
    assert parse_memory("1.5 mb") == 3 * 1024**2 // 2
    assert parse_memory(None) is None
    assert [format_memory(size) for size in (1536, 3 << 19, 16 << 30, 2 << 40)] == ["1.5KB", "1.5MB", "16GB", "2TB"]
