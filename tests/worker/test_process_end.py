"""What a script leaves behind in its process: named, ended, and waited for by nobody."""

from pathlib import Path

import pytest

from mpibatch.worker.messages import StartFailed, WorkerRetired
from tests.worker.sandboxed_executor import SandboxedExecutor, quick

pytestmark = pytest.mark.processes

IMPORTS = "import atexit, multiprocessing\n"
ECHO = "def run(mini_batch): return names(mini_batch)"
LEFT_BEHIND = {
    "thread": "threading.Thread(target=time.sleep, args=(1000,), name='forgotten').start()",
    "atexit": "atexit.register(time.sleep, 1000)",
    "child": "multiprocessing.get_context('fork').Process(target=time.sleep, args=(1000,)).start()",
}


@pytest.mark.parametrize("what", LEFT_BEHIND)
def test_what_outlives_the_script_is_named_and_not_waited_for(what: str, tmp_path: Path) -> None:
    """The interpreter waits for threads that are no daemons, and for children: that took all of shutdown()'s limit."""
    script = f"{IMPORTS}def init(): {LEFT_BEHIND[what]}\n{ECHO}"
    with SandboxedExecutor(tmp_path, script, quick(shutdown=1000)) as sandbox:
        sandbox.run(["0"])
        sandbox.ended(1)
        sandbox.shutdown()
        named = {"thread": "thread 'forgotten'", "atexit": "atexit handler", "child": "process "}[what]
        assert named in sandbox.stderr().rpartition("Left behind by the script: ")[2]


@pytest.mark.parametrize("what", LEFT_BEHIND)
def test_an_executor_that_has_refused_is_ended_with_what_it_started(what: str, tmp_path: Path) -> None:
    """It was waited for until init_timeout, each of three times."""
    script = f"""{IMPORTS}
def init():
    {LEFT_BEHIND[what]}
    raise ValueError('no model')
"""
    with SandboxedExecutor(tmp_path, script + ECHO, quick(init=1000)) as sandbox:
        sandbox.until(lambda: sandbox.of(WorkerRetired))
        assert "no model" in sandbox.of(WorkerRetired)[0].failure.error


def test_executors_that_leave_a_thread_behind_are_replaced_all_the_same(tmp_path: Path) -> None:
    """Each replacement was a failed start, and the third ended the rank."""
    script = f"def init(): {LEFT_BEHIND['thread']}\n{ECHO}"
    with SandboxedExecutor(tmp_path, script, max_mini_batches_per_executor=1) as sandbox:
        sandbox.run(*([str(number)] for number in range(4)))
        sandbox.ended(4)
        assert not sandbox.of(StartFailed)
