"""summary.json and status.json: the same keys, one written at the end, the other about once a second.

How a run has ended is decided here: its own record says, `RunState.exit_status` tells the shell.
"""

import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from mpibatch.config.serialize import decode
from mpibatch.errors import AbortError, ExitStatus, MpibatchError, RunDirectoryError
from mpibatch.files import read_json, write_json
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.failure_kinds import FailureKind


class RunState(StrEnum):
    RUNNING = "running"  # in status.json only
    COMPLETED = "completed"
    ABORTED = "aborted"
    STOPPED = "stopped"

    @staticmethod
    def of(error: MpibatchError | None) -> "RunState":
        """How a run ends that `error` ended; None: nothing was left to do."""
        if error is None:
            return RunState.COMPLETED
        return RunState.ABORTED if isinstance(error, AbortError) else RunState.STOPPED

    @property
    def exit_status(self) -> ExitStatus:
        """Of a run whose processes are gone and whose record says this: one that was still running can be resumed."""
        ends = {RunState.COMPLETED: ExitStatus.COMPLETE, RunState.ABORTED: ExitStatus.ABORTED}
        return ends.get(self, ExitStatus.STOPPED)


@dataclass(frozen=True, slots=True)
class MiniBatchCounts:
    total: int
    succeeded: int
    failed: int
    remaining: int


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """total: UNKNOWN (-1) until rows that only reading tells have been read.

    estimated: of `failed`, those of mini-batches that could not be read and whose plan did not say how many there are:
               counted by a scan that may be off, or, where not even that could be done, as one. 0: all counts are exact
    """

    total: int
    succeeded: int
    failed: int
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds. processing: from the first grant to the output file closed."""

    total: float
    plan: float
    processing: float


@dataclass(frozen=True, slots=True)
class ExecutorCounts:
    """ready: executors whose init() is done; busy: those that hold a mini-batch; started: since the run began."""

    ready: int = 0
    busy: int = 0
    started: int = 0


@dataclass(frozen=True, slots=True)
class BackupAttempts:
    """Of this incarnation. begun: second attempts beside a slow one (backup_tasks); won: those that were first."""

    begun: int = 0
    won: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run has come to.

    attempts:  by the names of AttemptOutcome
    output:    the output file, relative to the run directory, which may be moved; None for summary_only
    in_flight: some of the mini-batches that a rank had when this was written
    started:   when this incarnation began, and `updated`, when this was written; seconds since the epoch
    ranks_lost: it stopped since every rank that works was lost
    changes:   a sentence for each change of script or side inputs that the run has met, in all incarnations
    failures:  kinds of failed attempts of this incarnation, also of those that went well at another try
    """

    status: RunState
    reason: str
    mini_batches: MiniBatchCounts
    items: ItemCounts
    attempts: dict[str, int]
    seconds: Durations
    output: str | None
    ranks: int
    restarts: int
    in_flight: tuple[int, ...] = ()
    started: float = 0.0
    updated: float = 0.0
    executors: ExecutorCounts = ExecutorCounts()
    failures: tuple[FailureKind, ...] = ()
    changes: tuple[str, ...] = ()
    ranks_lost: bool = False
    backups: BackupAttempts = BackupAttempts()

    @staticmethod
    def read(directory: RunDirectory) -> "Summary | None":
        """What a run has come to; None where it has not ended. Raises RunDirectoryError where that cannot be read."""
        return _read(directory.summary)

    @staticmethod
    def read_status(directory: RunDirectory) -> "Summary | None":
        """Where a run stands; None where it has not said so yet. Raises RunDirectoryError where that cannot be read."""
        return _read(directory.status)

    def write(self, directory: RunDirectory) -> None:
        """As the run's end. Raises RunDirectoryError."""
        write_json(directory.summary, asdict(self))

    def write_status(self, directory: RunDirectory) -> None:
        """As what is true by now; not forced to the disk. Raises RunDirectoryError."""
        write_json(directory.status, asdict(self), durable=False)

    def output_path(self, directory: RunDirectory) -> Path | None:
        """The output file, of a run that is in `directory` by now."""
        return None if self.output is None else directory.path / self.output

    @property
    def backups_line(self) -> str:
        """`2 begun beside slow attempts, 1 of them ended first`; "" without any."""
        begun, won = self.backups.begun, self.backups.won
        return f"{begun} begun beside slow attempts, {won} of them ended first" if begun else ""

    @property
    def progress_line(self) -> str:
        """`120 of 500 mini-batches done, 3 of them failed`."""
        counts = self.mini_batches
        failed = f", {counts.failed} of them failed" if counts.failed else ""
        return f"{counts.succeeded + counts.failed} of {counts.total} mini-batches done{failed}"


def is_complete(directory: RunDirectory) -> bool:
    """Whether the run has come to its end. Raises RunDirectoryError where its summary cannot be read."""
    summary = Summary.read(directory)
    return summary is not None and summary.status is RunState.COMPLETED


def _read(path: Path) -> Summary | None:
    if not path.exists():
        return None
    try:
        value = read_json(path)
    except RunDirectoryError:
        if not os.access(path, os.R_OK):
            raise
        return None  # empty or torn, as a crash of the machine leaves it: as if it had not been written
    return decode(Summary, value, str(path))
