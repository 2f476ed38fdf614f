"""What earlier incarnations of a run have left: read back before a new one continues.

    plan.parquet, results.1.log ... results.N.log --> RecoveredRun --> Scheduler: what is final
                                                                   --> RunWriter: where it is

Each incarnation, an epoch, writes a log of its own, so nothing is ever cut off or written twice; a later record of the
same mini-batch supersedes an earlier one. What follows a damaged record is as if it had never been written.
"""

import os
import struct
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import AttemptOutcome
from mpibatch.errors import RunDirectoryError
from mpibatch.planning.plan import Plan
from mpibatch.runs.checkpoint import Checkpoint
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.in_flight import GRANT_DTYPE, InFlight
from mpibatch.runs.log_index import read_index
from mpibatch.runs.log_reader import EXTENT_DTYPE, LogReader
from mpibatch.runs.log_records import MAGIC, LogRecord, RecordType, read_records
from mpibatch.runs.outcomes import OutcomeTable
from mpibatch.scheduling.suspects import Suspicion

READ_WHOLE_UP_TO = 256 << 20  # bytes of a log, which is read in a second; of a larger one what its index lacks


@dataclass(slots=True)
class RecoveredRun:
    """epoch: of the incarnation that is about to begin, from 1
    logs:    those of earlier epochs, open for reading
    suspects: mini-batches that are not final and may have ended their rank or the whole job
    blocks:  checksums of the whole blocks that each of the checkpoint's files has
    warnings:  a sentence for each file that is not as it was left
    """

    plan: Plan
    outcomes: OutcomeTable
    epoch: int = 1
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    suspects: dict[int, Suspicion] = field(default_factory=dict)
    schemas: dict[int, bytes] = field(default_factory=dict)
    blocks: "list[array[int]]" = field(default_factory=lambda: [array("I") for _ in Checkpoint().files])
    logs: LogReader = field(default_factory=LogReader)
    attempts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(AttemptOutcome), dtype=np.int64))
    warnings: list[str] = field(default_factory=list)

    @staticmethod
    def fresh(plan: Plan, epoch: int = 1) -> "RecoveredRun":
        """Of a run that has just been planned."""
        return RecoveredRun(plan, OutcomeTable.empty(plan.total), epoch)

    def failed(self) -> NDArray[np.int64]:
        """Final mini-batches of which an item has no row."""
        table = self.outcomes.table
        return np.flatnonzero(table["final"] & ((table["failure_bytes"] > 0) | table["rejected"]))


def recover(directory: RunDirectory) -> RecoveredRun:
    """What earlier incarnations have done. Raises RunDirectoryError where the plan or a log cannot be used."""
    plan = _read_plan(directory)
    before = directory.results_logs()
    recovered = RecoveredRun.fresh(plan, epoch=max(before, default=0) + 1)
    in_flight = InFlight(plan.total)
    try:
        for epoch, path in before.items():
            _replay(recovered, in_flight, epoch, path, directory.results_index(epoch))
            in_flight.died()
        recovered.suspects = in_flight.suspects
        recovered.attempts = _count_attempts(directory.events)
    except OSError as error:
        raise RunDirectoryError(f"cannot read back {error.filename}: {error.strerror}") from error
    if not recovered.outcomes.table["final"][: recovered.checkpoint.frontier].all():
        recovered.checkpoint = Checkpoint()  # a log was damaged before what assembly had reached: from the start again
    return recovered


def _read_plan(directory: RunDirectory) -> Plan:
    """The plan, or its copy where a crash of the machine has left the plan damaged."""
    if not directory.plan_copy.exists():
        return Plan.read(directory.plan)
    try:
        return Plan.read(directory.plan)
    except RunDirectoryError:
        return Plan.read(directory.plan_copy)


def _replay(recovered: RecoveredRun, in_flight: InFlight, epoch: int, path: Path, index: Path) -> None:
    """What a log says: of a large one from its index, as far as that goes."""
    size = path.stat().st_size
    end, extents = min(len(MAGIC), size), []
    for entry in read_index(index, size) if size > READ_WHOLE_UP_TO else ():
        _apply(LogRecord(entry.type, entry.count, entry.offset, entry.head), recovered, in_flight, epoch, path)
        extents.append((entry.type, False, entry.count, entry.offset, entry.length, entry.crc))
        end = entry.end
    for record in read_records(path, end):
        _apply(record, recovered, in_flight, epoch, path)
        end = record.offset + len(record.body)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    recovered.logs.add(epoch, descriptor, np.array(extents, dtype=EXTENT_DTYPE), index)
    if size > end:
        recovered.warnings.append(
            f"{path.name} is cut off or damaged at byte {end} of {size}, as a crash leaves it: what followed is done "
            "again"
        )


def _apply(record: LogRecord, recovered: RecoveredRun, in_flight: InFlight, epoch: int, path: Path) -> None:
    try:
        _apply_body(record, recovered, in_flight, epoch, path)
    except (ValueError, struct.error) as error:  # the checksum is right: somebody meant it so
        raise RunDirectoryError(
            f"{path}: the record at {record.offset} is of another version of mpibatch. Resume with that version: "
            "run.json says which."
        ) from error


def _apply_body(record: LogRecord, recovered: RecoveredRun, in_flight: InFlight, epoch: int, path: Path) -> None:
    match record.type:
        case RecordType.RESULTS:
            records = np.frombuffer(record.body, dtype=ATTEMPT_DTYPE, count=record.count)
            if len(records) and not 0 <= records["index"].min() <= records["index"].max() < recovered.plan.total:
                plan = path.parent / "plan.parquet"
                raise RunDirectoryError(f"{path} names mini-batches that {plan} does not have: are both of one run?")
            recovered.outcomes.accept(records, epoch, record.offset)
            in_flight.ended_attempts(records["index"])
        case RecordType.SCHEMA:
            recovered.schemas[record.count] = record.body
        case RecordType.CHECKPOINT:
            recovered.checkpoint, more = Checkpoint.decode(record.body)
            recovered.blocks = recovered.checkpoint.extended(recovered.blocks, more)
        case RecordType.REOPENED:
            recovered.outcomes.table["final"][np.frombuffer(record.body, dtype="<i8")] = False
            recovered.checkpoint = Checkpoint()
        case RecordType.GRANTED:
            in_flight.granted(np.frombuffer(record.body, dtype=GRANT_DTYPE))
        case RecordType.REJECTED:
            recovered.outcomes.table["rejected"][np.frombuffer(record.body, dtype="<i8")] = True
        case RecordType.LOST:
            in_flight.lost(record.count)
        case RecordType.ENDED:
            in_flight.ended()


def _count_attempts(events: Path) -> NDArray[np.int64]:
    """How many attempts ended how; a torn last event is cut off."""
    if not events.exists():
        return np.zeros(len(AttemptOutcome), dtype=np.int64)
    whole = events.stat().st_size // ATTEMPT_DTYPE.itemsize
    os.truncate(events, whole * ATTEMPT_DTYPE.itemsize)
    causes = np.fromfile(events, dtype=ATTEMPT_DTYPE)["cause"]
    return np.bincount(causes, minlength=len(AttemptOutcome))[: len(AttemptOutcome)].astype(np.int64)
