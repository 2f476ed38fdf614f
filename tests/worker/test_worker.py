"""A worker's orders: giving back, draining, leaving, replacing its executor, running a mini-batch in parts."""

import os
import signal
from pathlib import Path

import pytest

from mpibatch.attempts import AttemptOutcome, Flag
from mpibatch.worker.messages import (
    Drain,
    RecallTasks,
    Shutdown,
    StartFailed,
    TasksReturned,
    WorkerExited,
    WorkerReady,
    WorkerRetired,
)
from tests.worker.sandboxed_executor import SandboxedExecutor, quick

pytestmark = pytest.mark.processes

ECHO = "def run(mini_batch): return names(mini_batch)"

GATED = """
def run(mini_batch):
    while not os.path.exists("open"):
        time.sleep(0.005)
    return names(mini_batch)
"""


def test_only_what_has_not_begun_is_recalled_the_last_first(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, GATED) as sandbox:
        sandbox.run(*([str(number)] for number in range(6)))
        sandbox.until_running(0)
        sandbox.worker.handle(RecallTasks(2))
        sandbox.until(lambda: sandbox.of(TasksReturned))
        sandbox.worker.handle(RecallTasks(100))
        sandbox.until(lambda: len(sandbox.of(TasksReturned)) == 2)
        sandbox.worker.handle(RecallTasks(1))
        sandbox.until(lambda: len(sandbox.of(TasksReturned)) == 3)
        assert [(set(back.indices), back.recalled) for back in sandbox.of(TasksReturned)] == [
            ({4, 5}, True),
            ({1, 2, 3}, True),
            (set(), True),
        ]
        (tmp_path / "open").touch()
        assert sandbox.ended(1)[0].rows == "0\n"
        sandbox.run(["again"], first=3)
        assert [attempt.rows for attempt in sandbox.ended(2)] == ["0\n", "again\n"]


def test_what_is_recalled_while_the_executor_takes_it_is_run_once(tmp_path: Path) -> None:
    """Taking back and beginning race for the queue: each mini-batch ends up on exactly one side."""
    with SandboxedExecutor(tmp_path, ECHO) as sandbox:
        sandbox.until(lambda: sandbox.of(WorkerReady))
        for first in range(0, 4000, 200):
            sandbox.run(*([str(first + number)] for number in range(200)), first=first)
            sandbox.poll()
            sandbox.worker.handle(RecallTasks(100))
            sandbox.poll()
        returned = [index for back in sandbox.of(TasksReturned) for index in back.indices]
        sandbox.ended(4000 - len(returned))
        for _ in range(20):
            sandbox.poll()
        assert sorted([*returned, *(attempt.index for attempt in sandbox.attempts)]) == list(range(4000))
        assert all(attempt.rows == f"{attempt.index}\n" for attempt in sandbox.attempts)


def test_no_mini_batch_is_charged_where_what_was_planned_cannot_be_read(tmp_path: Path) -> None:
    """As in a run directory that was deleted: the script has done nothing wrong."""
    with SandboxedExecutor(tmp_path, ECHO) as sandbox:
        sandbox.directory.dataset_states.unlink()
        sandbox.run(["0"], ["1"])
        sandbox.until(lambda: bool(sandbox.of(WorkerRetired)) and bool(sandbox.of(TasksReturned)))
        (retired,), (returned,) = sandbox.of(WorkerRetired), sandbox.of(TasksReturned)
        assert len(sandbox.of(StartFailed)) == 2
        assert "dataset_states.bin: [Errno 2]" in retired.failure.error
        assert not retired.failure.traceback
        assert returned.indices == [0, 1]
        assert not sandbox.attempts


def test_an_executor_that_was_stopped_as_it_was_to_be_replaced_is_ended(tmp_path: Path) -> None:
    """It is at no mini-batch then, and would keep the place of its successor for ever."""
    with SandboxedExecutor(tmp_path, ECHO, quick(load=1.0), max_mini_batches_per_executor=1) as sandbox:
        sandbox.run(["0"])
        sandbox.ended(1)
        executor = sandbox.worker._executor
        assert executor is not None
        assert executor.pid is not None
        os.kill(executor.pid, signal.SIGSTOP)
        sandbox.run(["1"], first=1)
        assert [attempt.rows for attempt in sandbox.ended(2)] == ["0\n", "1\n"]


def test_draining_lets_what_runs_finish_within_its_grace(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, GATED) as sandbox:
        sandbox.run(["0"], ["1"], ["2"])
        sandbox.until_running(0)
        sandbox.worker.handle(Drain(grace=10))
        (returned,) = sandbox.until(lambda: sandbox.of(TasksReturned))
        assert (returned.indices, returned.recalled) == ([1, 2], False)
        (tmp_path / "open").touch()
        assert [attempt.index for attempt in sandbox.ended(1)] == [0]
        sandbox.shutdown()


def test_what_outlasts_the_grace_is_returned_without_a_try(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, GATED) as sandbox:
        sandbox.run(["0"], ["1"])
        sandbox.until_running(0)
        sandbox.worker.handle(Drain(grace=0.3))
        sandbox.until(lambda: len(sandbox.of(TasksReturned)) == 2)
        assert [returned.indices for returned in sandbox.of(TasksReturned)] == [[1], [0]]
        assert not sandbox.attempts
        sandbox.shutdown()
        assert not sandbox.of(StartFailed)


def test_a_crash_while_draining_is_not_charged_and_starts_no_other(tmp_path: Path) -> None:
    script = """
    def run(mini_batch):
        while not os.path.exists("open"):
            time.sleep(0.005)
        os._exit(1)
    """
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["0"])
        sandbox.until_running(0)
        sandbox.worker.handle(Drain(grace=10))
        (tmp_path / "open").touch()
        sandbox.until(lambda: sandbox.worker.finished)
        sandbox.poll()
        assert [attempt.index for attempt in sandbox.attempts] + [
            i for b in sandbox.of(TasksReturned) for i in b.indices
        ] == [0]
        sandbox.shutdown()


def test_draining_before_init_is_done_ends_at_once(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, "def init(): time.sleep(1000)\n" + ECHO) as sandbox:
        sandbox.run(["0"])
        sandbox.worker.handle(Drain(grace=10))
        sandbox.until(lambda: [back.indices for back in sandbox.of(TasksReturned)] == [[0]])
        sandbox.shutdown()


def test_the_scripts_shutdown_is_called_unless_the_executor_is_killed(tmp_path: Path) -> None:
    script = ECHO + "\ndef shutdown(): Path('shutdown.txt').write_text('done')"
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["0"])
        sandbox.ended(1)
        sandbox.shutdown()
        assert sandbox.note("shutdown.txt") == ["done"]
        assert sandbox.reports[-1] == WorkerExited()
    (tmp_path / "shutdown.txt").unlink()
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.until(lambda: sandbox.of(WorkerReady))
        sandbox.worker.handle(Shutdown(kill=True))
        sandbox.until(lambda: sandbox.of(WorkerExited))
        assert sandbox.note("shutdown.txt") == []


@pytest.mark.parametrize(
    "body", ["time.sleep(1000)", "while True: pass", "raise ValueError('no')", "ctypes.string_at(0)", "sys.exit(5)"]
)
def test_a_shutdown_that_fails_does_not_keep_the_worker(body: str, tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, f"{ECHO}\ndef shutdown():\n    {body}", quick(shutdown=1.0)) as sandbox:
        sandbox.run(["0"])
        sandbox.ended(1)
        sandbox.shutdown()


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
    with SandboxedExecutor(tmp_path, script, max_mini_batches_per_executor=3) as sandbox:
        sandbox.run(*([str(number)] for number in range(8)))
        assert [attempt.rows for attempt in sandbox.ended(8)] == [f"{number}\n" for number in range(8)]
        sandbox.shutdown()
        life = [line.split() for line in sandbox.note("life.txt")]
        assert [what for what, _ in life] == (
            ["init", *["run"] * 3, "shutdown"] * 2 + ["init", *["run"] * 2, "shutdown"]
        )
        assert len({pid for _, pid in life}) == 3
        assert not sandbox.of(StartFailed)
        assert len(sandbox.of(WorkerReady)) == 1


def test_a_shutdown_that_fails_between_two_executors_loses_nothing(tmp_path: Path) -> None:
    script = f"{ECHO}\ndef shutdown(): raise ValueError('no')"
    with SandboxedExecutor(tmp_path, script, max_mini_batches_per_executor=1) as sandbox:
        sandbox.run(*([str(number)] for number in range(5)))
        assert [attempt.rows for attempt in sandbox.ended(5)] == [f"{number}\n" for number in range(5)]
        assert not sandbox.of(WorkerRetired)


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
    with SandboxedExecutor(tmp_path, POISON.format(fault=fault), quick(run=0.5)) as sandbox:
        sandbox.run(items, tries=3, isolate_items=len(items))
        sandbox.run(["after"], first=1)
        isolated, after = sandbox.ended(2)
        assert isolated.rows == "a\nb\nc\nd\ne\nf\n"
        assert (isolated.cause, isolated.items, isolated.succeeded, isolated.tries) == (
            AttemptOutcome.SUCCEEDED,
            8,
            6,
            3,
        )
        assert isolated.flags & Flag.ISOLATED
        assert [(failure.lost, failure.cause) for failure in isolated.failures] == [([3], cause), ([6], cause)]
        assert after.rows == "after\n"
        ran = sandbox.note("runs.txt")
        assert len(set(ran)) == len(ran)
        assert not sandbox.of(StartFailed)


def test_isolation_of_nothing_but_poison(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, POISON.format(fault="raise ValueError('poison')")) as sandbox:
        sandbox.run(["bad1", "bad2", "bad3"], isolate_items=3)
        (isolated,) = sandbox.ended(1)
        assert (isolated.cause, isolated.succeeded, isolated.rows) == (AttemptOutcome.USER_ERROR, 0, "")
        assert [failure.lost for failure in isolated.failures] == [[0], [1], [2]]


def test_isolation_when_init_fails_between_parts(tmp_path: Path) -> None:
    """The executor died of one part and its successor does not start at once: no part may run a second time."""
    script = """
def init():
    with open("inits.txt", "a") as file:
        print("init", file=file)
    if len(open("inits.txt").readlines()) % 3 == 2:
        raise OSError("only for now")
""" + POISON.format(fault="os._exit(1)")
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a", "b", "c", "bad", "d", "e", "f", "g"], isolate_items=8)
        (isolated,) = sandbox.ended(1)
        assert isolated.rows == "a\nb\nc\nd\ne\nf\ng\n"
        assert isolated.succeeded == 7
        assert [failure.lost for failure in isolated.failures] == [[3]]
        ran = sandbox.note("runs.txt")
        assert len(set(ran)) == len(ran)
        assert sandbox.of(StartFailed)


def test_isolation_that_is_drained_returns_the_mini_batch(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, GATED) as sandbox:
        sandbox.run(["a", "b"], isolate_items=2)
        sandbox.until_running(0)
        sandbox.worker.handle(Drain(grace=0.2))
        sandbox.until(lambda: [back.indices for back in sandbox.of(TasksReturned)] == [[0]])
        assert not sandbox.attempts
        sandbox.shutdown()


def test_parts_with_rows_that_do_not_go_together(tmp_path: Path) -> None:
    """One mini-batch, two sets of columns: it fails as such a return does, and the worker lives on."""
    script = """
    def run(mini_batch):
        if "bad" in names(mini_batch):
            raise ValueError("poison")
        return [{name: 1} for name in names(mini_batch)]
    """
    with SandboxedExecutor(tmp_path, script, append_row_file_name="rows.csv") as sandbox:
        sandbox.run(["a", "bad", "c", "d"], isolate_items=4)
        (isolated,) = sandbox.ended(1)
        assert (isolated.cause, isolated.succeeded, isolated.rows) == (AttemptOutcome.WRONG_RETURN, 0, "")
        assert "different columns" in isolated.failures[0].error
        assert [failure.lost for failure in isolated.failures] == [None]
        sandbox.run(["a"], first=1)
        assert sandbox.ended(2)[1].rows == "1\n"


def test_a_short_return_under_isolation_names_its_candidates(tmp_path: Path) -> None:
    script = """
    def run(mini_batch):
        if "bad" in names(mini_batch):
            raise ValueError("poison")
        return names(mini_batch)[:1]
    """
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a", "b", "bad", "c"], isolate_items=4)
        (isolated,) = sandbox.ended(1)
        assert (isolated.rows, isolated.succeeded) == ("a\nc\n", 2)
        assert [(failure.lost, failure.missing) for failure in isolated.failures] == [([0, 1], 1), ([2], 0)]


# -- sizes


def test_a_mini_batch_of_very_many_names(tmp_path: Path) -> None:
    """Its packet is far above what a socket takes: it goes by memory file, and the file is let go of."""
    items = [f"{number:0200d}" for number in range(5000)]
    with SandboxedExecutor(
        tmp_path, "def run(mini_batch): return [len(names(mini_batch))] * len(mini_batch)"
    ) as sandbox:
        sandbox.until(lambda: sandbox.of(WorkerReady))
        before = len(os.listdir("/proc/self/fd"))
        sandbox.run(items, ["b"], items, ["d"])
        big, small, _, _ = sandbox.ended(4)
        assert (big.succeeded, big.rows[:5], small.rows) == (5000, "5000\n", "1\n")
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_large_mini_batch_that_is_recalled(tmp_path: Path) -> None:
    items = [f"{number:0200d}" for number in range(5000)]
    with SandboxedExecutor(tmp_path, GATED) as sandbox:
        sandbox.run(["a"], items, items)
        sandbox.until_running(0)
        before = len(os.listdir("/proc/self/fd"))
        sandbox.worker.handle(RecallTasks(2))
        (returned,) = sandbox.until(lambda: sandbox.of(TasksReturned))
        assert set(returned.indices) == {1, 2}
        assert len(os.listdir("/proc/self/fd")) == before - 2
        (tmp_path / "open").touch()
        sandbox.ended(1)


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
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"])
        sandbox.ended(1)
        assert len(sandbox.stdout()) == 200 * 10001 + len("last words")
        assert sandbox.stdout().endswith("last words")
        assert sandbox.stderr().count("e" * 10000) == 200


def test_many_tiny_mini_batches_end_exactly_once(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, ECHO) as sandbox:
        sandbox.run(*([str(number)] for number in range(5000)))
        assert [attempt.rows for attempt in sandbox.ended(5000)] == [f"{number}\n" for number in range(5000)]
