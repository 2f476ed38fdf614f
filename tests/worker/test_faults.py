"""What a script can do to its executor, each with the true cause in the record, and everybody else unharmed."""

import re
from pathlib import Path

import pytest

from mpibatch.attempts import AttemptOutcome, Flag
from mpibatch.worker.messages import StartFailed, WorkerExited, WorkerReady, WorkerRetired
from tests.worker.sandboxed_executor import SandboxedExecutor, quick

pytestmark = pytest.mark.processes

SCRIPT = """
def init():
    with open("inits.txt", "a") as file:
        print(os.getpid(), file=file)

def run(mini_batch):
    if names(mini_batch) == ["bad"]:
        {fault}
    return names(mini_batch)
"""

RAISING = {
    "raises": ("raise ValueError('no such thing')", "ValueError: no such thing"),
    "raises SystemExit": ("raise SystemExit(3)", "SystemExit: 3"),
    "calls sys.exit": ("sys.exit()", "SystemExit"),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raises GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "recurses without end": ("(f := lambda: f())()", "RecursionError"),
    "raises text that is no UTF-8": ("raise ValueError('\\udcff')", r"ValueError: \udcff"),
    "raises what cannot be printed": (
        "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()",
        "Odd",
    ),
}

CRASHING = {
    "exits with 1": ("os._exit(1)", "exit status 1"),
    "exits with 0": ("os._exit(0)", "exit status 0"),
    "segfaults": ("ctypes.string_at(0)", "SIGSEGV"),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    "aborts": ("os.abort()", "SIGABRT"),
    "closes all descriptors": ("os.closerange(0, 1000)", "exit status"),
    "runs out of memory for certain": (
        "open('/proc/self/oom_score_adj', 'w').close(); os.kill(os.getpid(), 9)",
        "out-of-memory",
    ),
}

HANGING = {
    "loops in Python": "while True: pass",
    "sleeps": "time.sleep(1000)",
    "holds the GIL in C": "m = ctypes.c_buffer(64); [ctypes.PyDLL(None).pthread_mutex_lock(m) for _ in 'ab']",
    "waits for a lock": "threading.Lock().acquire() and (lock := threading.Lock()).acquire() and lock.acquire()",
    "waits for a child": "subprocess.run(['sleep', '1000'])",
    "catches everything": "\n".join(
        ["while True:", "            try: time.sleep(1000)", "            except BaseException: pass"]
    ),
    "blocks all signals": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); time.sleep(1000)",
    "stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
}

INVALID = {
    "None": ("None", "NoneType"),
    "text": ("'a row'", "str"),
    "bytes": ("b'a row'", "bytes"),
    "a generator": ("(name for name in mini_batch)", "generator"),
    "a number": ("7", "int"),
    "a set": ("set(mini_batch)", "set"),
    "a dict": ("{1: 2}", "dict"),
    "True": ("True", "bool"),
}


def sandboxed(folder: Path, fault: str, **options: float) -> SandboxedExecutor:
    return SandboxedExecutor(folder, SCRIPT.format(fault=fault), quick(**options))


@pytest.mark.parametrize("how", RAISING)
def test_a_script_that(how: str, tmp_path: Path) -> None:
    """An exception of any kind is an attempt that failed, in the same executor."""
    fault, error = RAISING[how]
    with sandboxed(tmp_path, fault) as sandbox:
        sandbox.run(["a"], ["bad"], ["b"], tries=2)
        good, bad, other = sandbox.ended(3)
        assert (good.rows, other.rows) == ("a\n", "b\n")
        assert (bad.cause, bad.succeeded, bad.rows, bad.tries) == (AttemptOutcome.USER_ERROR, 0, "", 2)
        (failure,) = bad.failures
        assert error in failure.error
        assert (failure.cause, failure.tries, failure.rank, failure.host) == ("user_error", 2, 0, "here")
        assert "mpibatch/executor" not in failure.traceback, "the script's own frames only"
        assert len(sandbox.note("inits.txt")) == 1


def test_a_traceback_names_the_line_of_the_script(tmp_path: Path) -> None:
    with sandboxed(tmp_path, "return 1 / 0") as sandbox:
        sandbox.run(["bad"])
        ((failure,),) = [attempt.failures for attempt in sandbox.ended(1)]
        assert failure.traceback.startswith("Traceback")
        assert "score.py" in failure.traceback
        assert "return 1 / 0" in failure.traceback


@pytest.mark.parametrize("how", CRASHING)
def test_an_executor_that(how: str, tmp_path: Path) -> None:
    """Only the mini-batch in the status block is charged; what was finished counts, the rest runs elsewhere."""
    fault, error = CRASHING[how]
    with sandboxed(tmp_path, fault) as sandbox:
        sandbox.run(["a"], ["bad"], ["b"], ["c"])
        good, bad, other, last = sandbox.ended(4)
        assert [attempt.rows for attempt in (good, other, last)] == ["a\n", "b\n", "c\n"]
        assert (bad.cause, bad.succeeded, bad.items) == (AttemptOutcome.EXECUTOR_CRASH, 0, 1)
        assert error in bad.failures[0].error
        assert "run() of mini-batch 1" in bad.failures[0].error or "encoding the rows" in bad.failures[0].error
        assert len(sandbox.note("inits.txt")) == 2
        assert len(sandbox.of(WorkerReady)) == 1
        assert not sandbox.of(StartFailed)


@pytest.mark.parametrize("fault", ["os._exit(1)", "raise ValueError('no')", "time.sleep(1000)"])
@pytest.mark.parametrize("packet_size", [2, 5, 100])
def test_only_one_of_a_packet_is_charged(packet_size: int, fault: str, tmp_path: Path) -> None:
    """Short mini-batches go to the executor several at once; one of them that kills it costs the others nothing."""
    with sandboxed(tmp_path, fault, run=0.5) as sandbox:
        sandbox.run(*(["bad"] if number == 6 else [str(number)] for number in range(12)), packet_size=packet_size)
        attempts = sandbox.ended(12)
        assert [attempt.index for attempt in attempts if attempt.cause is not AttemptOutcome.SUCCEEDED] == [6]
        assert [attempt.rows for attempt in attempts] == [f"{number}\n" * (number != 6) for number in range(12)]
        assert not sandbox.of(StartFailed)


@pytest.mark.parametrize("how", HANGING)
def test_an_executor_that_hangs_since_it(how: str, tmp_path: Path) -> None:
    """Ended within its limit and 2 s, whatever it does, with what it has started."""
    with sandboxed(tmp_path, HANGING[how], run=1.0) as sandbox:
        sandbox.run(["a"], ["bad"], ["b"])
        good, bad, other = sandbox.ended(3)
        assert (good.rows, other.rows) == ("a\n", "b\n")
        assert bad.cause is AttemptOutcome.TIMEOUT
        assert 1.0 <= bad.seconds <= 3.0
        assert re.search(r"run\(\) of mini-batch 1 took .*more than run_invocation_timeout: 1", bad.failures[0].error)
        assert len(sandbox.note("inits.txt")) == 2


def test_a_c_call_that_the_request_for_stacks_cuts_short(tmp_path: Path) -> None:
    """sleep(3) of libc returns on a signal: the script goes on, late, and whatever comes next is not to blame."""
    with sandboxed(tmp_path, "ctypes.PyDLL(None).sleep(1000)", run=0.5) as sandbox:
        sandbox.run(["a"], ["bad"], ["b"])
        assert [attempt.cause for attempt in sandbox.ended(3)] == [
            AttemptOutcome.SUCCEEDED,
            AttemptOutcome.TIMEOUT,
            AttemptOutcome.SUCCEEDED,
        ]


def test_the_stacks_of_a_hang_are_in_the_stderr_file(tmp_path: Path) -> None:
    """Also where the GIL is held, since the handler is in C."""
    with sandboxed(tmp_path, HANGING["holds the GIL in C"], run=0.5) as sandbox:
        sandbox.run(["bad"])
        sandbox.ended(1)
        assert re.search(r"File .*score\.py\", line \d+ in run", sandbox.stderr())


@pytest.mark.ci
def test_a_run_that_comes_back_too_late_is_a_timeout(tmp_path: Path) -> None:
    """Measured in the executor: whether the watchdog saw it in time must not decide."""
    with sandboxed(tmp_path, "time.sleep(0.5)", run=20) as sandbox:
        sandbox.run(["bad"])
        assert sandbox.ended(1)[0].cause is AttemptOutcome.SUCCEEDED
    limited = tmp_path / "limited"
    limited.mkdir()
    with sandboxed(limited, "time.sleep(0.53)", run=0.5) as sandbox:
        for first in range(0, 6, 3):
            sandbox.run(["bad"], ["bad"], ["after"], first=first)
        for attempt in sandbox.ended(6):
            expected = AttemptOutcome.SUCCEEDED if attempt.index % 3 == 2 else AttemptOutcome.TIMEOUT
            assert attempt.cause is expected, attempt
        assert not sandbox.of(StartFailed)


@pytest.mark.parametrize("what", INVALID)
def test_a_return_value_that_is(what: str, tmp_path: Path) -> None:
    value, kind = INVALID[what]
    with sandboxed(tmp_path, f"return {value}") as sandbox:
        sandbox.run(["bad"], ["b"])
        bad, good = sandbox.ended(2)
        assert (bad.cause, good.rows) == (AttemptOutcome.WRONG_RETURN, "b\n")
        assert kind in bad.failures[0].error
        assert "mini-batch 0" in bad.failures[0].error


def test_too_few_rows_are_kept_and_the_missing_ones_failed(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, "def run(mini_batch): return names(mini_batch)[:-2]") as sandbox:
        sandbox.run(["a", "b", "c"])
        (attempt,) = sandbox.ended(1)
        assert (attempt.cause, attempt.rows, attempt.succeeded) == (AttemptOutcome.SUCCEEDED, "a\n", 1)
        (failure,) = attempt.failures
        assert (failure.cause, failure.missing, failure.lost) == ("wrong_return", 2, None)
        assert "returned 1 rows for 3 items" in failure.error


def test_surplus_rows_are_kept_and_marked(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, "def run(mini_batch): return names(mini_batch) * 2") as sandbox:
        sandbox.run(["a", "b"])
        (attempt,) = sandbox.ended(1)
        assert (attempt.rows, attempt.succeeded, attempt.items) == ("a\nb\na\nb\n", 2, 2)
        assert attempt.flags & Flag.SURPLUS


STARTS = {
    "raises": ("def init(): raise OSError('no model')\ndef run(m): return m", "OSError: no model"),
    "exits": ("def init(): sys.exit('no model')\ndef run(m): return m", "SystemExit: no model"),
    "segfaults": ("def init(): ctypes.string_at(0)\ndef run(m): return m", "SIGSEGV"),
    "hangs": ("def init(): time.sleep(1000)\ndef run(m): return m", "init_timeout: 1 s"),
    "hangs on import": ("time.sleep(1000)\ndef run(m): return m", "init_timeout: 1 s"),
    "does not parse": ("def run(m: return m", "SyntaxError"),
    "does not import": ("import no_such_module\ndef run(m): return m", "ModuleNotFoundError"),
    "has no run": ("def score(m): return m", "has no function run"),
    "has a run that takes nothing": ("def run(): return []", "cannot be called as run(mini_batch)"),
    "closes all descriptors in init": ("def init(): os.closerange(0, 1000)\ndef run(m): return m", "exit status 1"),
}


@pytest.mark.parametrize("how", STARTS)
def test_a_start_that(how: str, tmp_path: Path) -> None:
    """Tried three times in all; then the rank retires with the reason and gives back what it holds."""
    script, error = STARTS[how]
    with SandboxedExecutor(tmp_path, script, quick(init=1.0 if "hangs" in how else 20.0)) as sandbox:
        sandbox.run(["a"], ["b"])
        (retired,) = sandbox.until(lambda: sandbox.of(WorkerRetired))
        assert error in retired.failure.error
        assert len(sandbox.of(StartFailed)) == 2
        assert all(error in stumbled.failure.error for stumbled in sandbox.of(StartFailed))
        assert not sandbox.attempts
        assert not sandbox.of(WorkerReady)
        sandbox.until(lambda: sandbox.worker.finished)
        sandbox.shutdown()
        assert isinstance(sandbox.reports[-1], WorkerExited)


def test_init_that_fails_twice_and_then_works(tmp_path: Path) -> None:
    script = """
    def init():
        with open("tries.txt", "a") as file:
            print("try", file=file)
        if len(open("tries.txt").readlines()) < 3:
            raise OSError("not yet")

    def run(mini_batch):
        return names(mini_batch)
    """
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"])
        assert sandbox.ended(1)[0].rows == "a\n"
        assert len(sandbox.of(StartFailed)) == 2
        assert len(sandbox.of(WorkerReady)) == 1


def test_a_poison_item_that_kills_every_executor_does_not_retire_the_rank(tmp_path: Path) -> None:
    """Crashes in run() are the mini-batch's, not the start's, however many come in a row."""
    with sandboxed(tmp_path, "os._exit(1)") as sandbox:
        for index in range(5):
            sandbox.run(["bad"], first=index)
        assert {attempt.cause for attempt in sandbox.ended(5)} == {AttemptOutcome.EXECUTOR_CRASH}
        assert not sandbox.of(WorkerRetired)
        sandbox.run(["a"], first=5)
        assert sandbox.ended(6)[-1].rows == "a\n"
