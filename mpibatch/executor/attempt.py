"""One attempt of a mini-batch: load, run, encode; and, where one of them raises, whose fault that is.

    Task --load--> LoadedBatch --run()--> what the script returns --encode--> Encoded
               an exception, or too few rows --classify--> cause and failures

Executors and `mpibatch debug` share `run_phases`; the rest is the executor's. Nothing here knows of pipes and status
blocks: whoever watches learns each phase through the PhaseTimer.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mpibatch.attempts import AttemptOutcome, Failure, Flag, encode_failures
from mpibatch.config.schema import Job
from mpibatch.datasets.base import CutInsideQuotes, Dataset, LoadedBatch, LoadError
from mpibatch.executor.entry_script import EntryScript, context_for
from mpibatch.executor.protocol import Task
from mpibatch.executor.tracebacks import summary_line, user_traceback
from mpibatch.output.base import Encoded, Encoder, InvalidReturn
from mpibatch.types import UNKNOWN, MiniBatch, Phase

NO_ROWS = Encoded(0, b"")


class PhaseTimer:
    """Which phase of an attempt it is, and how many seconds the phases before took.

    note: called with each phase as it begins; returns the time, seconds of a clock of its own
    """

    __slots__ = ("_note", "encode", "load", "now", "phase", "run")

    def __init__(self, note: Callable[[Phase], float], began: float) -> None:
        """began: when loading began, by the clock of `note`."""
        self._note = note
        self.now = began  # when the phase began
        self.phase = Phase.LOAD
        self.load = self.run = self.encode = 0.0

    def enter(self, phase: Phase) -> None:
        """The phase before is over, and `phase` begins."""
        now = self._note(phase)
        seconds, self.now = now - self.now, now
        if self.phase is Phase.LOAD:
            self.load = seconds
        elif self.phase is Phase.RUN:
            self.run = seconds
        elif self.phase is Phase.ENCODE:
            self.encode = seconds
        self.phase = phase


class RunTooLong(Exception):
    """run() came back, but later than it may."""


class TaskList(list[Any]):
    """A mini-batch of files, which scripts written for Azure ask for its number too."""

    task_id: int


def with_task_id(value: Any, index: int) -> Any:
    """The mini-batch with the attribute `task_id`, unless it is a table that has such a column, or a dict of arrays."""
    if type(value) is list:
        value = TaskList(value)
        value.task_id = index
    elif hasattr(value, "columns") and "task_id" not in value.columns:
        object.__setattr__(value, "task_id", index)  # pandas would warn, or make a column
    return value


def call_run(script: EntryScript, batch: MiniBatch, value: Any, inputs: Sequence[str]) -> Any:
    """The script's run(), with its context where it asks for one. inputs: their names, in the job file's order."""
    value = with_task_id(value, batch.index)
    if script.wants_context:
        return script.run(value, context_for(batch, inputs))
    return script.run(value)


def run_phases(
    load: Callable[[], LoadedBatch],
    run: Callable[[Any], Any],
    encode: Callable[[Any], Encoded],
    phases: PhaseTimer,
    limit: float,
) -> tuple[LoadedBatch, Encoded]:
    """All three, one after another. Raises whatever they raise; `phases` then tells which of them it was.

    limit: seconds that `run` may take; RunTooLong is raised after one that came back later
    """
    loaded = load()
    phases.enter(Phase.RUN)
    returned = run(loaded.value)
    phases.enter(Phase.ENCODE)
    if phases.run > limit:
        raise RunTooLong
    return loaded, encode(returned)


@dataclass(slots=True)
class AttemptResult:
    """What has become of one attempt. failures: as bytes, empty where every item has its row."""

    items: int
    rows: int
    cause: AttemptOutcome
    flags: int
    encoded: Encoded
    failures: bytes


class AttemptRunner:
    """Runs attempts of one executor's script, one after another."""

    def __init__(
        self, job: Job, script: EntryScript, datasets: Sequence[Dataset], encoder: Encoder, rank: int, host: str
    ) -> None:
        self._config = job.config
        self._inputs = [input.name for input in job.inputs] or [""]
        self._counts_rows = bool(job.inputs)  # without input any number of rows is as it should be
        self._script = script
        self._datasets = datasets
        self._encoder = encoder
        self._rank = rank
        self._host = host
        self._pid = os.getpid()

    def attempt(self, task: Task, load: Callable[[], LoadedBatch], phases: PhaseTimer) -> AttemptResult:
        """One attempt of `task`; whatever goes wrong in it is part of the result. `load` gives its data."""
        batch, items = task.mini_batch, task.mini_batch.items

        def counted() -> LoadedBatch:
            nonlocal items
            loaded = load()
            items = loaded.items
            return loaded

        try:
            _, encoded = run_phases(
                counted,
                lambda value: call_run(self._script, batch, value, self._inputs),
                self._encoder.encode,
                phases,
                self._config.run_invocation_timeout,
            )
        except BaseException as error:
            if os.getpid() != self._pid:
                raise  # a process that the script has forked: its end is its own
            cause, failures = self._classify(error, task, phases)
            flags = 0
            if cause is AttemptOutcome.LOAD_ERROR and items == UNKNOWN:
                items, flags = self._estimate_items(task), int(Flag.ESTIMATED)
            return AttemptResult(items, 0, cause, flags, NO_ROWS, failures)
        rows = encoded.rows if self._counts_rows else items
        failures = self._missing_rows(task, rows, items) if rows < items else b""
        return AttemptResult(
            items, rows, AttemptOutcome.SUCCEEDED, Flag.SURPLUS if rows > items else 0, encoded, failures
        )

    def _classify(self, error: BaseException, task: Task, phases: PhaseTimer) -> tuple[AttemptOutcome, bytes]:
        where = f"mini-batch {task.mini_batch.index}"
        trace = ""
        if isinstance(error, RunTooLong):
            limit = self._config.run_invocation_timeout
            cause = AttemptOutcome.TIMEOUT
            text = f"run() of {where} took {phases.run:.2f} s, more than run_invocation_timeout: {limit:g}"
        elif isinstance(error, InvalidReturn):
            cause, text = AttemptOutcome.WRONG_RETURN, f"{where}: {error}"
        elif isinstance(error, LoadError) or phases.phase is Phase.LOAD:
            cause, text = AttemptOutcome.LOAD_ERROR, f"{where} cannot be loaded: {summary_line(error)}"
            trace = "" if isinstance(error, LoadError) else user_traceback(error)
        else:
            cause, text, trace = AttemptOutcome.USER_ERROR, summary_line(error), user_traceback(error)
            text += self._missing_files(task)
        failure = self._failure(cause, text, trace, task)
        return cause, encode_failures([replace(failure, fatal=isinstance(error, CutInsideQuotes))])

    def _estimate_items(self, task: Task) -> int:
        """Items of a mini-batch that could not be loaded; only its last try counts, so only that is worth a scan."""
        if task.tries < self._config.run_max_try:
            return UNKNOWN
        try:
            return self._datasets[task.mini_batch.dataset].count_items(task.mini_batch.payload)
        except Exception:
            return UNKNOWN

    def _missing_files(self, task: Task) -> str:
        """After an error of the script: whether one of its files is gone or unreadable, the likely reason."""
        dataset = self._datasets[task.mini_batch.dataset]
        if not self._counts_rows:
            return ""
        for path, _ in dataset.planned_files(task.mini_batch.payload):
            if "://" not in path and not os.access(path, os.R_OK):
                state = "cannot be read" if os.path.lexists(path) else "is no longer there"
                return f" (the input file {path!r} {state})"
        return ""

    def _missing_rows(self, task: Task, rows: int, items: int) -> bytes:
        missing = items - rows
        text = f"run() of mini-batch {task.mini_batch.index} returned {rows} rows for {items} items: {missing} missing"
        return encode_failures([self._failure(AttemptOutcome.WRONG_RETURN, text, "", task, missing)])

    def _failure(self, cause: AttemptOutcome, text: str, trace: str, task: Task, missing: int = 0) -> Failure:
        return Failure(cause.name.lower(), text, trace, None, missing, self._rank, task.tries, self._host)
