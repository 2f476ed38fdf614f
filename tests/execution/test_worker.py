"""A worker's orders: giving back, draining, leaving, replacing its executor, running a mini-batch in parts."""

import os
import signal
import time
from pathlib import Path

import pytest

from mpibatch.execution.messages import Drain, GiveBack, Gone, Joined, Leave, Retired, Returned, Stumbled
from mpibatch.types import Cause, Flag, Phase
from tests.execution.cage import Cage, quick

ECHO = "def run(mini_batch): return names(mini_batch)"

GATED = """
def run(mini_batch):
    while not os.path.exists("open"):
        time.sleep(0.005)
    return names(mini_batch)
"""


def begun(cage: Cage, index: int) -> None:
    """Waits until the executor is in run() of this mini-batch."""
    executor = cage.worker._executor
    assert executor is not None
    at = (index, Phase.RUN)
    cage.until(lambda: (reading := executor.slot.read()) is not None and (reading.index, reading.phase) == at)


def test_only_what_has_not_begun_is_given_back_the_last_first(tmp_path: Path) -> None:
    with Cage(tmp_path, GATED) as cage:
        cage.run(*([str(number)] for number in range(6)))
        begun(cage, 0)
        cage.worker.handle(GiveBack(2))
        cage.until(lambda: cage.of(Returned))
        cage.worker.handle(GiveBack(100))
        cage.until(lambda: len(cage.of(Returned)) == 2)
        cage.worker.handle(GiveBack(1))
        cage.until(lambda: len(cage.of(Returned)) == 3)
        assert [(set(back.indices), back.asked) for back in cage.of(Returned)] == [
            ({4, 5}, True),
            ({1, 2, 3}, True),
            (set(), True),
        ]
        (tmp_path / "open").touch()
        assert cage.ended(1)[0].rows == "0\n"
        cage.run(["again"], first=3)
        assert [attempt.rows for attempt in cage.ended(2)] == ["0\n", "again\n"]


def test_what_is_given_back_while_the_executor_takes_it_is_run_once(tmp_path: Path) -> None:
    """Taking back and beginning race for the queue: each mini-batch ends up on exactly one side."""
    with Cage(tmp_path, ECHO) as cage:
        cage.until(lambda: cage.of(Joined))
        for first in range(0, 4000, 200):
            cage.run(*([str(first + number)] for number in range(200)), first=first)
            cage.poll()
            cage.worker.handle(GiveBack(100))
            cage.poll()
        returned = [index for back in cage.of(Returned) for index in back.indices]
        cage.ended(4000 - len(returned))
        for _ in range(20):
            cage.poll()
        assert sorted([*returned, *(attempt.index for attempt in cage.attempts)]) == list(range(4000))
        assert all(attempt.rows == f"{attempt.index}\n" for attempt in cage.attempts)


def test_an_executor_that_was_stopped_as_it_was_to_be_replaced_is_ended(tmp_path: Path) -> None:
    """It is at no mini-batch then, and would keep the place of its successor for ever."""
    with Cage(tmp_path, ECHO, quick(load=1.0), max_mini_batches_per_executor=1) as cage:
        cage.run(["0"])
        cage.ended(1)
        executor = cage.worker._executor
        assert executor is not None
        assert executor.pid is not None
        os.kill(executor.pid, signal.SIGSTOP)
        cage.run(["1"], first=1)
        assert [attempt.rows for attempt in cage.ended(2)] == ["0\n", "1\n"]


def test_draining_lets_what_runs_finish_within_its_grace(tmp_path: Path) -> None:
    with Cage(tmp_path, GATED) as cage:
        cage.run(["0"], ["1"], ["2"])
        begun(cage, 0)
        cage.worker.handle(Drain(grace=10))
        (returned,) = cage.until(lambda: cage.of(Returned))
        assert (returned.indices, returned.asked) == ([1, 2], False)
        (tmp_path / "open").touch()
        assert [attempt.index for attempt in cage.ended(1)] == [0]
        cage.leave()


def test_what_overruns_the_grace_is_given_back_without_a_try(tmp_path: Path) -> None:
    with Cage(tmp_path, GATED) as cage:
        cage.run(["0"], ["1"])
        begun(cage, 0)
        cage.worker.handle(Drain(grace=0.3))
        cage.until(lambda: len(cage.of(Returned)) == 2)
        assert [returned.indices for returned in cage.of(Returned)] == [[1], [0]]
        assert not cage.attempts
        cage.leave()
        assert not cage.of(Stumbled)


def test_a_crash_while_draining_is_not_charged_and_starts_no_other(tmp_path: Path) -> None:
    script = """
    def run(mini_batch):
        while not os.path.exists("open"):
            time.sleep(0.005)
        os._exit(1)
    """
    with Cage(tmp_path, script) as cage:
        cage.run(["0"])
        begun(cage, 0)
        cage.worker.handle(Drain(grace=10))
        (tmp_path / "open").touch()
        cage.until(lambda: cage.worker.over)
        cage.poll()
        assert [attempt.index for attempt in cage.attempts] + [i for b in cage.of(Returned) for i in b.indices] == [0]
        cage.leave()


def test_draining_before_init_is_done_ends_at_once(tmp_path: Path) -> None:
    with Cage(tmp_path, "def init(): time.sleep(1000)\n" + ECHO) as cage:
        cage.run(["0"])
        cage.worker.handle(Drain(grace=10))
        cage.until(lambda: [back.indices for back in cage.of(Returned)] == [[0]])
        cage.leave()


def test_shutdown_is_called_on_leaving_and_not_when_killed(tmp_path: Path) -> None:
    script = ECHO + "\ndef shutdown(): Path('shutdown.txt').write_text('done')"
    with Cage(tmp_path, script) as cage:
        cage.run(["0"])
        cage.ended(1)
        cage.leave()
        assert cage.note("shutdown.txt") == ["done"]
        assert cage.reports[-1] == Gone()
    (tmp_path / "shutdown.txt").unlink()
    with Cage(tmp_path, script) as cage:
        cage.until(lambda: cage.of(Joined))
        cage.worker.handle(Leave(at_once=True))
        cage.until(lambda: cage.of(Gone))
        assert cage.note("shutdown.txt") == []


@pytest.mark.parametrize(
    "body", ["time.sleep(1000)", "while True: pass", "raise ValueError('no')", "ctypes.string_at(0)", "sys.exit(5)"]
)
def test_a_shutdown_that_fails_does_not_keep_the_worker(body: str, tmp_path: Path) -> None:
    with Cage(tmp_path, f"{ECHO}\ndef shutdown():\n    {body}", quick(shutdown=1.0)) as cage:
        cage.run(["0"])
        cage.ended(1)
        start = time.monotonic()
        cage.leave()
        assert time.monotonic() - start < 1.0 + 2.0


def test_a_thread_that_outlives_the_script_does_not_keep_the_worker(tmp_path: Path) -> None:
    """The interpreter waits for threads that are no daemons; the limit of shutdown() covers that too."""
    script = f"def init(): threading.Thread(target=time.sleep, args=(1000,)).start()\n{ECHO}"
    with Cage(tmp_path, script, quick(shutdown=1.0)) as cage:
        cage.run(["0"])
        cage.ended(1)
        cage.leave()


def test_an_executor_is_replaced_after_its_share(tmp_path: Path) -> None:
    """init(), so many mini-batches, shutdown(), and the next; nothing is lost on the way."""
    script = """
    def note(what):
        with open("life.txt", "a") as file:
            print(what, os.getpid(), file=file)

    def init(): note("init")
    def shutdown(): note("shutdown")

    def run(mini_batch):
        note("run")
        return names(mini_batch)
    """
    with Cage(tmp_path, script, max_mini_batches_per_executor=3) as cage:
        cage.run(*([str(number)] for number in range(8)))
        assert [attempt.rows for attempt in cage.ended(8)] == [f"{number}\n" for number in range(8)]
        cage.leave()
        life = [line.split() for line in cage.note("life.txt")]
        assert [what for what, _ in life] == (
            ["init", *["run"] * 3, "shutdown"] * 2 + ["init", *["run"] * 2, "shutdown"]
        )
        assert len({pid for _, pid in life}) == 3
        assert not cage.of(Stumbled)
        assert len(cage.of(Joined)) == 1


def test_a_shutdown_that_fails_between_two_executors_loses_nothing(tmp_path: Path) -> None:
    script = f"{ECHO}\ndef shutdown(): raise ValueError('no')"
    with Cage(tmp_path, script, max_mini_batches_per_executor=1) as cage:
        cage.run(*([str(number)] for number in range(5)))
        assert [attempt.rows for attempt in cage.ended(5)] == [f"{number}\n" for number in range(5)]
        assert not cage.of(Retired)


# -- isolation

POISON = """
def run(mini_batch):
    with open("runs.txt", "a") as file:
        print(*names(mini_batch), file=file)
    if any(name.startswith("bad") for name in names(mini_batch)):
        {fault}
    return names(mini_batch)
"""


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("raise ValueError('poison')", "user_error"),
        ("ctypes.string_at(0)", "executor_crash"),
        ("return None", "wrong_return"),
        ("time.sleep(1000)", "timeout"),
    ],
)
def test_isolation_finds_the_poison_items(fault: str, cause: str, tmp_path: Path) -> None:
    """Each lost item with its position and true cause, the rows of the others in item order, no part run twice."""
    items = ["a", "b", "c", "bad1", "d", "e", "bad2", "f"]
    with Cage(tmp_path, POISON.format(fault=fault), quick(run=0.5)) as cage:
        cage.run(items, tries=3, isolate=len(items))
        cage.run(["after"], first=1)
        isolated, after = cage.ended(2)
        assert isolated.rows == "a\nb\nc\nd\ne\nf\n"
        assert (isolated.cause, isolated.items, isolated.succeeded, isolated.tries) == (Cause.SUCCEEDED, 8, 6, 3)
        assert isolated.flags & Flag.ISOLATED
        assert [(failure.lost, failure.cause) for failure in isolated.failures] == [([3], cause), ([6], cause)]
        assert after.rows == "after\n"
        ran = cage.note("runs.txt")
        assert len(set(ran)) == len(ran)
        assert not cage.of(Stumbled)


def test_isolation_of_nothing_but_poison(tmp_path: Path) -> None:
    with Cage(tmp_path, POISON.format(fault="raise ValueError('poison')")) as cage:
        cage.run(["bad1", "bad2", "bad3"], isolate=3)
        (isolated,) = cage.ended(1)
        assert (isolated.cause, isolated.succeeded, isolated.rows) == (Cause.USER_ERROR, 0, "")
        assert [failure.lost for failure in isolated.failures] == [[0], [1], [2]]


def test_isolation_when_init_stumbles_between_parts(tmp_path: Path) -> None:
    """The executor died of one part and its successor does not start at once: no part may run a second time."""
    script = """
def init():
    with open("inits.txt", "a") as file:
        print("init", file=file)
    if len(open("inits.txt").readlines()) % 3 == 2:
        raise OSError("only for now")
""" + POISON.format(fault="os._exit(1)")
    with Cage(tmp_path, script) as cage:
        cage.run(["a", "b", "c", "bad", "d", "e", "f", "g"], isolate=8)
        (isolated,) = cage.ended(1)
        assert isolated.rows == "a\nb\nc\nd\ne\nf\ng\n"
        assert isolated.succeeded == 7
        assert [failure.lost for failure in isolated.failures] == [[3]]
        ran = cage.note("runs.txt")
        assert len(set(ran)) == len(ran)
        assert cage.of(Stumbled)


def test_isolation_that_is_drained_gives_the_mini_batch_back(tmp_path: Path) -> None:
    with Cage(tmp_path, GATED) as cage:
        cage.run(["a", "b"], isolate=2)
        begun(cage, 0)
        cage.worker.handle(Drain(grace=0.2))
        cage.until(lambda: [back.indices for back in cage.of(Returned)] == [[0]])
        assert not cage.attempts
        cage.leave()


def test_parts_with_rows_that_do_not_go_together(tmp_path: Path) -> None:
    """One mini-batch, two sets of columns: it fails as such a return does, and the worker lives on."""
    script = """
    def run(mini_batch):
        if "bad" in names(mini_batch):
            raise ValueError("poison")
        return [{name: 1} for name in names(mini_batch)]
    """
    with Cage(tmp_path, script, append_row_file_name="rows.csv") as cage:
        cage.run(["a", "bad", "c", "d"], isolate=4)
        (isolated,) = cage.ended(1)
        assert (isolated.cause, isolated.succeeded, isolated.rows) == (Cause.WRONG_RETURN, 0, "")
        assert "different columns" in isolated.failures[0].error
        assert [failure.lost for failure in isolated.failures] == [None]
        cage.run(["a"], first=1)
        assert cage.ended(2)[1].rows == "1\n"


def test_a_short_return_under_isolation_names_its_candidates(tmp_path: Path) -> None:
    script = """
    def run(mini_batch):
        if "bad" in names(mini_batch):
            raise ValueError("poison")
        return names(mini_batch)[:1]
    """
    with Cage(tmp_path, script) as cage:
        cage.run(["a", "b", "bad", "c"], isolate=4)
        (isolated,) = cage.ended(1)
        assert (isolated.rows, isolated.succeeded) == ("a\nc\n", 2)
        assert [(failure.lost, failure.missing) for failure in isolated.failures] == [([0, 1], 1), ([2], 0)]


# -- sizes


def test_a_mini_batch_of_very_many_names(tmp_path: Path) -> None:
    """Its packet is far above what a socket takes: it goes by memory file, and the file is let go of."""
    items = [f"{number:0200d}" for number in range(5000)]
    with Cage(tmp_path, "def run(mini_batch): return [len(names(mini_batch))] * len(mini_batch)") as cage:
        cage.until(lambda: cage.of(Joined))
        before = len(os.listdir("/proc/self/fd"))
        cage.run(items, ["b"], items, ["d"])
        big, small, _, _ = cage.ended(4)
        assert (big.succeeded, big.rows[:5], small.rows) == (5000, "5000\n", "1\n")
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_large_mini_batch_that_is_taken_back(tmp_path: Path) -> None:
    items = [f"{number:0200d}" for number in range(5000)]
    with Cage(tmp_path, GATED) as cage:
        cage.run(["a"], items, items)
        begun(cage, 0)
        before = len(os.listdir("/proc/self/fd"))
        cage.worker.handle(GiveBack(2))
        (returned,) = cage.until(lambda: cage.of(Returned))
        assert set(returned.indices) == {1, 2}
        assert len(os.listdir("/proc/self/fd")) == before - 2
        (tmp_path / "open").touch()
        cage.ended(1)


def test_rows_of_fifty_megabytes(tmp_path: Path) -> None:
    script = "def run(mini_batch): return ['x' * (50 << 20)] if 'big' in names(mini_batch) else names(mini_batch)"
    with Cage(tmp_path, script) as cage:
        cage.run(["a"], ["big"], ["b"])
        small, big, other = cage.ended(3)
        assert (small.rows, other.rows) == ("a\n", "b\n")
        assert len(big.rows) == (50 << 20) + 1
        assert big.rows.strip("x") == "\n"


def test_much_on_stdout_and_stderr_goes_to_the_files(tmp_path: Path) -> None:
    """Nobody has to read a pipe for the script to go on; the last line before a crash is there."""
    script = """
    def run(mini_batch):
        for _ in range(200):
            print("o" * 10000)
            print("e" * 10000, file=sys.stderr)
        print("last words", end="")
        os._exit(1)
    """
    with Cage(tmp_path, script) as cage:
        cage.run(["a"])
        cage.ended(1)
        assert len(cage.stdout()) == 200 * 10001 + len("last words")
        assert cage.stdout().endswith("last words")
        assert cage.stderr().count("e" * 10000) == 200


def test_many_tiny_mini_batches_end_exactly_once(tmp_path: Path) -> None:
    with Cage(tmp_path, ECHO) as cage:
        cage.run(*([str(number)] for number in range(5000)))
        assert [attempt.rows for attempt in cage.ended(5000)] == [f"{number}\n" for number in range(5000)]
