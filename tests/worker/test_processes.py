"""Nothing that a script starts outlives its executor, whatever happens to executor, supervisor or rank."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mpibatch
from mpibatch.attempts import AttemptOutcome
from mpibatch.worker.messages import WorkerReady
from tests.processes import command, marked, none_left
from tests.worker.sandboxed_executor import SandboxedExecutor, quick

pytestmark = pytest.mark.processes

ROOT = Path(mpibatch.__file__).parents[1]

DAEMON = """
def daemonize():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            Path("daemon.new").write_text(str(os.getpid()))
            os.rename("daemon.new", "daemon.txt")
            os.execv("/bin/sleep", ["sleep", "1000"])
        os._exit(0)
    os.wait()
    while not os.path.exists("daemon.txt"):
        time.sleep(0.005)
"""

FAULTS = {
    "returns": ("pass", AttemptOutcome.SUCCEEDED),
    "crashes": ("os._exit(1)", AttemptOutcome.EXECUTOR_CRASH),
    "hangs": ("time.sleep(1000)", AttemptOutcome.TIMEOUT),
}


@pytest.mark.parametrize("how", FAULTS)
def test_a_daemon_started_by_a_script_that(how: str, tmp_path: Path) -> None:
    """Double fork, session of its own, signals blocked: gone before the next executor starts, or the worker leaves."""
    fault, cause = FAULTS[how]
    script = f"{DAEMON}\ndef run(mini_batch):\n    daemonize()\n    {fault}\n    return names(mini_batch)\n"
    with SandboxedExecutor(tmp_path, script, quick(run=1.0)) as sandbox:
        sandbox.run(["a"])
        assert sandbox.ended(1)[0].cause is cause
        daemon = int((tmp_path / "daemon.txt").read_text())
        if how == "returns":
            assert daemon in sandbox.processes(), "while the executor lives the daemon is its business"
            sandbox.shutdown()
        else:
            sandbox.until(lambda: sandbox.of(WorkerReady))
        assert daemon not in sandbox.processes()


def test_a_fork_that_outlives_its_run_is_gone_at_the_end(tmp_path: Path) -> None:
    script = """
    def run(mini_batch):
        if os.fork() == 0:
            time.sleep(1000)
        return names(mini_batch)
    """
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"])
        assert [attempt.rows for attempt in sandbox.ended(2)] == ["a\n", "b\n"]
        sandbox.shutdown()
        none_left(sandbox.mark)


@pytest.mark.parametrize("end", ["return names(mini_batch)", "raise ValueError('in the child')", "sys.exit(0)"])
def test_a_fork_that_comes_back_from_run_is_no_second_executor(end: str, tmp_path: Path) -> None:
    """The child of a fork that forgets to exit must neither answer nor take mini-batches."""
    script = f"""
    def run(mini_batch):
        with open("ran.txt", "a") as file:
            print(*names(mini_batch), file=file)
        pid = os.fork()
        if pid == 0:
            {end}
        os.waitpid(pid, 0)
        return names(mini_batch)
    """
    with SandboxedExecutor(tmp_path, script, quick(run=5.0)) as sandbox:
        sandbox.run(*([str(number)] for number in range(20)))
        attempts = sandbox.ended(20)
        assert [attempt.rows for attempt in attempts] == [f"{number}\n" for number in range(20)]
        assert sandbox.note("ran.txt") == [str(number) for number in range(20)]
        sandbox.shutdown()


def test_a_long_chain_of_processes_is_ended_at_once(tmp_path: Path) -> None:
    """Each a child of the one before: looking for them must not take longer and longer."""
    script = """
    def run(mini_batch):
        for depth in range(60):
            if os.fork():
                os.wait()
                os._exit(1)
        Path("depth.txt").write_text("60")
        time.sleep(1000)
    """
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"])
        sandbox.until(lambda: sandbox.note("depth.txt"))
        sandbox.worker.kill()
        assert not sandbox.processes()


def test_a_child_that_holds_the_output_files_open_does_not_keep_the_worker(tmp_path: Path) -> None:
    script = "def run(m): subprocess.Popen(['sleep', '1000']); return names(m)"
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"])
        sandbox.ended(1)
        sandbox.shutdown()


def test_what_a_script_starts_inherits_no_descriptor_of_ours(tmp_path: Path) -> None:
    script = """
    def run(mini_batch):
        done = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True)
        return [line.split("->")[-1].strip() for line in done.stdout.splitlines() if "->" in line]
    """
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"])
        (attempt,) = sandbox.ended(1)
        assert not [row for row in attempt.rows.splitlines() if "memfd" in row or "socket" in row], attempt.rows


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_to_all_processes_of_a_job_does_not_end_run(name: str, tmp_path: Path) -> None:
    """Slurm sends them to executors as well, which are to go on for their grace; the rank judges."""
    script = f"""
    def run(mini_batch):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.01)
        return mini_batch
    """
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"])
        assert sandbox.ended(1)[0].cause == AttemptOutcome.SUCCEEDED


def test_what_a_script_starts_is_ended_by_signals_as_usual(tmp_path: Path) -> None:
    """Nothing that is passed over or blocked here is inherited: forked or executed children would never end."""
    script = """
    import subprocess
    def run(mini_batch):
        child = os.fork()
        if not child:
            time.sleep(1000)
        program = subprocess.Popen(["sleep", "1000"])
        os.kill(child, signal.SIGTERM)
        program.terminate()
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), program.wait()]
    """
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a", "b"])
        assert sandbox.ended(1)[0].rows == "-15\n-15\n"


# -- the rank in a process of its own, so that it can be killed

RANK = """
import sys, time
from pathlib import Path
from mpibatch.liveness.process_tree import PR_SET_CHILD_SUBREAPER, prctl
from tests.worker.sandboxed_executor import SandboxedExecutor, quick
from tests.worker.test_processes import DAEMON

prctl(PR_SET_CHILD_SUBREAPER, 1)  # as every rank does
script = DAEMON + "\\ndef run(mini_batch):\\n    daemonize()\\n    time.sleep(1000)"
if sys.argv[2] == "once":  # the second executor does no harm
    script = DAEMON + (
        "\\ndef run(mini_batch):"
        "\\n    if not os.path.exists('daemon.txt'):"
        "\\n        daemonize()"
        "\\n        time.sleep(1000)"
        "\\n    return names(mini_batch)"
    )
with SandboxedExecutor(Path(sys.argv[1]), script) as sandbox:
    print(sandbox.mark, flush=True)
    sandbox.run(["a"])
    print(sandbox.ended(1, seconds=60)[0], flush=True)
    sandbox.shutdown()
"""


class Rank:
    """Started, with a daemon of the script running."""

    def __init__(self, folder: Path, script: str = "always") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RANK, str(folder), script],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.stdout = self.process.stdout
        self.mark = self.stdout.readline().strip()
        self.daemon = int(self.wait(lambda: (folder / "daemon.txt").exists() and (folder / "daemon.txt").read_text()))
        self.wait(lambda: command(self.daemon).startswith("sleep"))

    def wait(self, condition: Callable[[], str | bool]) -> str:
        until = time.monotonic() + 20
        while not (met := condition()):
            assert time.monotonic() < until
            time.sleep(0.01)
        return str(met)

    def find(self, place: int, what: str) -> int:
        """The process of ours of which word number `place` of the command line ends with `what`."""
        words = {pid: command(pid).split() for pid in marked(self.mark)}
        (found,) = [pid for pid, said in words.items() if len(said) > place and said[place].endswith(what)]
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stdout.close()
        none_left(self.mark)


@pytest.fixture
def rank(tmp_path: Path) -> "Rank":
    return Rank(tmp_path)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_killed_rank_leaves_nothing(name: str, rank: Rank) -> None:
    assert rank.daemon in list(marked(rank.mark))
    rank.process.send_signal(signal.Signals[name])
    rank.process.wait(5)
    none_left(rank.mark, within=2.0)
    rank.close()


def test_a_rank_and_its_supervisor_killed_together_leave_no_executor(rank: Rank) -> None:
    """The executor dies with its supervisor; a daemon then has nobody left who would know of it."""
    supervisor, executor = rank.find(9, "liveness.supervisor_process"), rank.find(4, "mpibatch.executor.main")
    os.kill(rank.process.pid, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    rank.process.kill()
    rank.process.wait(5)
    rank.wait(lambda: executor not in list(marked(rank.mark)))
    os.kill(rank.daemon, signal.SIGKILL)
    rank.close()


def test_a_killed_supervisor_leaves_nothing_and_the_work_goes_on(tmp_path: Path) -> None:
    """The rank sweeps instead, daemons too; the mini-batch is charged a try, with what happened."""
    rank = Rank(tmp_path, "once")
    executor = rank.find(4, "mpibatch.executor.main")
    os.kill(rank.find(9, "liveness.supervisor_process"), signal.SIGKILL)
    rank.wait(lambda: not {executor, rank.daemon} & set(marked(rank.mark)))
    attempt = rank.stdout.readline()
    assert "EXECUTOR_CRASH" in attempt
    assert "lost together with its supervisor" in attempt
    assert rank.process.wait(10) == 0
    rank.close()


def test_an_executor_that_was_stopped_is_ended_in_time(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, "def run(m): return names(m)", quick(run=1.0)) as sandbox:
        sandbox.until(lambda: sandbox.of(WorkerReady))
        executor = sandbox.worker._executor
        assert executor is not None
        assert executor.pid is not None
        os.kill(executor.pid, signal.SIGSTOP)
        sandbox.run(["a"])
        sandbox.worker.kill()
