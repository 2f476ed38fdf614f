"""What earlier incarnations of a run have left: read back before a new one goes on.

    plan.parquet, results.1.log ... results.N.log --> History --> Scheduler (what is final), Recorder (where it is)

Each incarnation, an epoch, writes a log of its own, so nothing is ever cut off or written twice; a later record of the
same mini-batch supersedes an earlier one. What follows a damaged record is as if it had never been written.
"""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpibatch.errors import RunDirectoryError
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.log import MAGIC, Record, RecordType, scan
from mpibatch.runs.outcomes import ATTEMPT_DTYPE, Outcomes
from mpibatch.runs.plan import Plan
from mpibatch.types import Cause

CHECKPOINT = struct.Struct("<QQIQI")  # frontier, output bytes and crc32, failed_items bytes and crc32


@dataclass(frozen=True, slots=True)
class Position:
    """How far assembly has come. The checksums are of everything written so far: files edited by hand are noticed."""

    frontier: int = 0
    output_bytes: int = 0
    output_crc: int = 0
    failed_bytes: int = 0
    failed_crc: int = 0

    def encode(self) -> bytes:
        return CHECKPOINT.pack(self.frontier, self.output_bytes, self.output_crc, self.failed_bytes, self.failed_crc)

    @staticmethod
    def decode(data: bytes) -> "Position":
        return Position(*CHECKPOINT.unpack(data))


@dataclass(slots=True)
class History:
    """epoch: of the incarnation that is about to begin, from 1
    logs:    those of earlier epochs, open for reading
    damage:  a sentence for each file that is not as it was left
    """

    plan: Plan
    outcomes: Outcomes
    epoch: int = 1
    position: Position = field(default_factory=Position)
    schemas: dict[int, bytes] = field(default_factory=dict)
    logs: dict[int, int] = field(default_factory=dict)
    attempts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(Cause), dtype=np.int64))
    damage: list[str] = field(default_factory=list)

    @staticmethod
    def none(plan: Plan, epoch: int = 1) -> "History":
        """Of a run that has just been planned."""
        return History(plan, Outcomes.none_of(plan.total), epoch)

    def failed(self) -> NDArray[np.int64]:
        """Final mini-batches of which an item has no row."""
        table = self.outcomes.table
        return np.flatnonzero(table["final"] & (table["failure_bytes"] > 0))


def epochs(directory: RunDirectory) -> list[int]:
    """Numbers of the results logs there are, in order."""
    names = (path.name.split(".") for path in directory.path.glob("results.*.log"))
    return sorted(int(parts[1]) for parts in names if len(parts) == 3 and parts[1].isdecimal())


def read(directory: RunDirectory) -> History | None:
    """What there is to go on with; None where nothing was planned yet.

    Raises RunDirectoryError where the plan or a log is there but cannot be used.
    """
    if not directory.plan.exists():
        return None
    plan = Plan.read(directory.plan)
    before = epochs(directory)
    history = History.none(plan, epoch=max(before, default=0) + 1)
    try:
        for epoch in before:
            _replay(history, epoch, directory.results(epoch))
        history.attempts = _attempts(directory.events)
    except OSError as error:
        raise RunDirectoryError(f"cannot read back {error.filename}: {error.strerror}") from error
    if not history.outcomes.table["final"][: history.position.frontier].all():
        history.position = Position()  # a log was damaged before what assembly had reached: from the start again
    return history


def _replay(history: History, epoch: int, path: Path) -> None:
    end = min(len(MAGIC), path.stat().st_size)
    for record in scan(path):
        try:
            _apply(record, history, epoch, path)
        except (ValueError, struct.error) as error:  # the checksum is right: somebody meant it so
            raise RunDirectoryError(
                f"{path}: the record at {record.offset} is of another version of mpibatch. Go on with that version: "
                "run.json says which."
            ) from error
        end = record.offset + len(record.body)
    history.logs[epoch] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if (size := path.stat().st_size) > end:
        history.damage.append(
            f"{path.name} is cut off or damaged at byte {end} of {size}, as a crash leaves it: what followed is done "
            "again"
        )


def _apply(record: Record, history: History, epoch: int, path: Path) -> None:
    match record.type:
        case RecordType.RESULTS:
            records = np.frombuffer(record.body, dtype=ATTEMPT_DTYPE, count=record.count)
            if len(records) and not 0 <= records["index"].min() <= records["index"].max() < history.plan.total:
                plan = path.parent / "plan.parquet"
                raise RunDirectoryError(f"{path} names mini-batches that {plan} does not have: are both of one run?")
            history.outcomes.accept(records, epoch, record.offset)
        case RecordType.SCHEMA:
            history.schemas[record.count] = record.body
        case RecordType.CHECKPOINT:
            history.position = Position.decode(record.body)
        case RecordType.REOPENED:
            history.outcomes.table["final"][np.frombuffer(record.body, dtype="<i8")] = False
            history.position = Position()


def _attempts(events: Path) -> NDArray[np.int64]:
    """How many attempts ended how; a torn last event is cut off."""
    if not events.exists():
        return np.zeros(len(Cause), dtype=np.int64)
    whole = events.stat().st_size // ATTEMPT_DTYPE.itemsize
    os.truncate(events, whole * ATTEMPT_DTYPE.itemsize)
    causes = np.fromfile(events, dtype=ATTEMPT_DTYPE)["cause"]
    return np.bincount(causes, minlength=len(Cause))[: len(Cause)].astype(np.int64)
