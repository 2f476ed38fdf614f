"""Reading ahead in a real executor: the next mini-batch is loaded while run() works, and nothing else changes."""

from pathlib import Path

import pytest

from mpibatch.attempts import AttemptOutcome
from mpibatch.worker.messages import RecallTasks, Results, TasksReturned
from tests.worker.sandboxed_executor import SandboxedExecutor, quick

pytestmark = pytest.mark.processes

# A files input that is loaded as if that read data. `on_load(name)` is what a test wants to happen then; what happens
# is told, in order, with the thread it happened in.
SLOW_FILES = """
import gc, weakref
from mpibatch.datasets.files import FileDataset

def tell(*words):
    with open("told.txt", "a") as file:
        print(threading.current_thread().name, *words, file=file)

def told(*words):
    text = " ".join(words)
    return Path("told.txt").exists() and any(line.endswith(text) for line in Path("told.txt").read_text().splitlines())

def wait_for(*words):
    until = time.monotonic() + 10
    while not told(*words):
        assert time.monotonic() < until, f"in vain: {words}"
        time.sleep(0.005)

def on_load(name):
    pass

plain = FileDataset.load

def load(self, payload):
    loaded = plain(self, payload)
    name = names(loaded.value)[0]
    tell("load", name)
    on_load(name)
    tell("loaded", name)
    return loaded

FileDataset.reads_data = True
FileDataset.load = load
"""


class SlowLoadingExecutor(SandboxedExecutor):
    """A sandbox with such an input."""

    def __init__(self, folder: Path, script: str, **config: object) -> None:
        timeouts = config.pop("timeouts", None)
        super().__init__(folder, SLOW_FILES + script, timeouts, **config)  # type: ignore[arg-type]

    def log_lines(self) -> list[str]:
        return self.note("told.txt")

    def wait_for_line(self, line: str) -> None:
        self.until(lambda: line in self.log_lines())


def test_the_next_one_is_loaded_while_run_works_and_no_more_than_that(tmp_path: Path) -> None:
    script = """
def run(mini_batch):
    name = names(mini_batch)[0]
    following = chr(ord(name) + 1)
    if following <= "d":
        wait_for("loaded", following)
        time.sleep(0.1)
    tell("ran", name)
    return mini_batch
"""
    with SlowLoadingExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"], ["c"], ["d"])
        assert [attempt.cause for attempt in sandbox.ended(4)] == [AttemptOutcome.SUCCEEDED] * 4
        words = [line.partition(" ")[2] for line in sandbox.log_lines()]
        expected = "load a|loaded a|load b|loaded b|ran a|load c|loaded c|ran b|load d|loaded d|ran c|ran d"
        assert words == expected.split("|")
        assert {line.split()[0] for line in sandbox.log_lines() if "load d" in line} == {"mpibatch-prefetch"}


def test_two_mini_batches_are_in_memory_at_most(tmp_path: Path) -> None:
    script = """
class Big:
    pass

def on_load(name):
    pass

alive = weakref.WeakSet()
before = FileDataset.load

def load(self, payload):
    loaded = before(self, payload)
    big = Big()
    alive.add(big)
    loaded.value.append(big)
    tell("alive", str(len(alive)))
    return loaded

FileDataset.load = load

def run(mini_batch):
    gc.disable()
    time.sleep(0.02)
    return mini_batch[:1]
"""
    with SlowLoadingExecutor(tmp_path, script, error_threshold=-1) as sandbox:
        sandbox.run(*[[name] for name in "abcdefgh"])
        sandbox.ended(8)
        assert max(int(line.split()[-1]) for line in sandbox.log_lines() if "alive" in line) == 2


def test_files_on_this_machine_get_no_thread(tmp_path: Path) -> None:
    """At a hundred thousand mini-batches a second a thread would cost more than it brings."""
    script = "def run(mini_batch):\n    return [str(threading.active_count())]\n"
    with SandboxedExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"], ["c"])
        assert {attempt.rows for attempt in sandbox.ended(3)} == {"1\n"}


@pytest.mark.parametrize("fault", ["raise OSError('no disk')", "raise SystemExit(3)", "1 / 0"])
def test_what_fails_while_read_ahead_fails_alone_as_a_load_error(tmp_path: Path, fault: str) -> None:
    script = f"""
def on_load(name):
    if name == "b":
        {fault}

def run(mini_batch):
    time.sleep(0.05)
    return names(mini_batch)
"""
    with SlowLoadingExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"], ["c"])
        a, b, c = sandbox.ended(3)
        assert (a.cause, b.cause, c.cause) == (
            AttemptOutcome.SUCCEEDED,
            AttemptOutcome.LOAD_ERROR,
            AttemptOutcome.SUCCEEDED,
        )
        assert "mini-batch 1 cannot be loaded" in b.failures[0].error
        assert any("mpibatch-prefetch load b" in line for line in sandbox.log_lines())


def test_a_crash_while_reading_ahead_is_not_the_end_of_the_one_in_run(tmp_path: Path) -> None:
    """It is charged a try; its next try runs alone, and the one that cannot be loaded is found as the first of the next
    executor."""
    script = """
def on_load(name):
    if name == "b":
        wait_for("again")
        ctypes.string_at(0)

def run(mini_batch):
    if names(mini_batch) == ["a"] and not told("again"):
        tell("again")
        time.sleep(60)
    return names(mini_batch)
"""
    with SlowLoadingExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"], ["c"])
        a, b, c = sandbox.ended(3)
        assert (a.cause, b.cause, c.cause) == (
            AttemptOutcome.EXECUTOR_CRASH,
            AttemptOutcome.EXECUTOR_CRASH,
            AttemptOutcome.SUCCEEDED,
        )
        assert "in run() of mini-batch 0" in a.failures[0].error
        assert "loading mini-batch 1" in b.failures[0].error
        sandbox.run(["a"], ["b"], tries=2)
        again = sandbox.until(
            lambda: [attempt for attempt in sandbox.attempts if attempt.tries == 2 and attempt.index == 0]
        )
        assert again[0].cause is AttemptOutcome.SUCCEEDED


@pytest.mark.parametrize(("tries", "most"), [(2, 3), (1, 1)], ids=["tried before", "no further try"])
def test_without_a_try_to_lose_nothing_is_read_ahead(tmp_path: Path, tries: int, most: int) -> None:
    script = "def run(mini_batch):\n    time.sleep(0.02)\n    return names(mini_batch)\n"
    with SlowLoadingExecutor(tmp_path, script, run_max_try=most) as sandbox:
        sandbox.run(["a"], ["b"], ["c"], tries=tries)
        sandbox.ended(3)
        assert {line.split()[0] for line in sandbox.log_lines()} == {"MainThread"}


def test_what_was_read_ahead_can_still_be_recalled(tmp_path: Path) -> None:
    """It stays on the queue. What comes in its place gets its own data, not what was read for the other."""
    script = """
def run(mini_batch):
    if names(mini_batch) == ["a"]:
        wait_for("loaded", "b")
        wait_for("go")
    return names(mini_batch)
"""
    with SlowLoadingExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"])
        sandbox.wait_for_line("mpibatch-prefetch loaded b")
        sandbox.worker.handle(RecallTasks(5))
        assert sandbox.until(lambda: sandbox.of(TasksReturned)) == [TasksReturned([1], recalled=True)]
        sandbox.run(["c"], first=2)
        with (tmp_path / "told.txt").open("a") as file:
            file.write("test go\n")
        a, c = sandbox.ended(2)
        assert (a.rows, c.index, c.rows) == ("a\n", 2, "c\n")


def test_processes_are_forked_between_two_loads(tmp_path: Path) -> None:
    """A fork in the middle of one would give the child the locks of a thread that it has not."""
    script = """
import multiprocessing

def on_load(name):
    time.sleep(0.5)

def square(number):
    return number * number

def run(mini_batch):
    if names(mini_batch) == ["a"]:
        wait_for("load", "b")
        with multiprocessing.get_context("fork").Pool(2) as pool:
            tell("forked")
            assert pool.map(square, [1, 2, 3]) == [1, 4, 9]
    return names(mini_batch)
"""
    with SlowLoadingExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"])
        assert [attempt.cause for attempt in sandbox.ended(2)] == [AttemptOutcome.SUCCEEDED] * 2
        words = [line.partition(" ")[2] for line in sandbox.log_lines()]
        assert words.index("load b") < words.index("loaded b") < words.index("forked")


def test_a_forked_process_that_exits_says_nothing_in_the_executors_name(tmp_path: Path) -> None:
    script = """
def run(mini_batch):
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    return names(mini_batch)
"""
    with SlowLoadingExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"])
        sandbox.ended(2)
        sandbox.shutdown()
        assert sum(len(report.records) for report in sandbox.of(Results)) == 2 * len(sandbox.of(Results)[0].records)


def test_a_load_that_hangs_is_ended_when_it_has_been_waited_for_long_enough(tmp_path: Path) -> None:
    """run() of the one before may take its time: the load's limit counts from when it is needed."""
    script = """
def on_load(name):
    if name == "b":
        time.sleep(1000)

def run(mini_batch):
    if names(mini_batch) == ["a"]:
        time.sleep(1.5)
    return names(mini_batch)
"""
    with SlowLoadingExecutor(tmp_path, script, timeouts=quick(load=1.0)) as sandbox:
        sandbox.run(["a"], ["b"], ["c"])
        a, b, c = sandbox.ended(3)
        assert (a.cause, b.cause, c.cause) == (
            AttemptOutcome.SUCCEEDED,
            AttemptOutcome.LOAD_ERROR,
            AttemptOutcome.SUCCEEDED,
        )
        assert "load_timeout" in b.failures[0].error


def test_the_seconds_of_a_load_are_those_that_reading_took(tmp_path: Path) -> None:
    """Not those waited for, which are none where run() takes longer."""
    script = """
def on_load(name):
    time.sleep(0.3)

def run(mini_batch):
    if names(mini_batch) == ["a"]:
        wait_for("loaded", "b")
    return names(mini_batch)
"""
    with SlowLoadingExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"])
        _, b = sandbox.ended(2)
        assert b.seconds >= 0.3


def test_shutdown_waits_for_what_is_being_read(tmp_path: Path) -> None:
    """The thread is gone before shutdown(), which may close what it reads from."""
    script = """
def on_load(name):
    time.sleep(0.5 if name == "b" else 0)

def run(mini_batch):
    wait_for("load", "b")
    return names(mini_batch)

def shutdown():
    tell("shutdown", *[thread.name for thread in threading.enumerate()])
"""
    with SlowLoadingExecutor(tmp_path, script) as sandbox:
        sandbox.run(["a"], ["b"])
        sandbox.wait_for_line("mpibatch-prefetch load b")
        sandbox.worker.handle(RecallTasks(5))
        sandbox.ended(1)
        sandbox.shutdown()
        assert sandbox.log_lines()[-1] == "MainThread shutdown MainThread"
