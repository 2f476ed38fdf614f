"""What rank 0 writes during a run: each attempt's event, each final outcome's log record, what follows from it.

    Results --events.bin, error.txt--> scheduler says which are final --> results log --> OutcomeTable --> Assembly

`count` is kept by cause for the summary. Everything here may raise RunDirectoryError: the disk is full, or gone.
"""

import contextlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mpibatch.arrow import numbers, texts
from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import ATTEMPT_FIELDS, AttemptOutcome, Failure, Flag, decode_failures
from mpibatch.datasets.base import Dataset
from mpibatch.errors import MpibatchError, RunDirectoryError, StoppedEarly
from mpibatch.files import replacing, write_all, write_error
from mpibatch.large import RowData
from mpibatch.liveness.lease import Lease
from mpibatch.output.base import AppendFormat, FinalizeFormat
from mpibatch.runs.assembly import Assembly, RejectedRows
from mpibatch.runs.checkpoint import Checkpoint
from mpibatch.runs.checksummed_file import BLOCK_BYTES
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.error_log import ErrorLog
from mpibatch.runs.failure_kinds import FailureKinds
from mpibatch.runs.in_flight import GRANT_DTYPE
from mpibatch.runs.log_records import RecordType
from mpibatch.runs.recovery import RecoveredRun
from mpibatch.runs.results_log import ResultsLog
from mpibatch.scheduling.actions import Grant
from mpibatch.types import UNKNOWN


class RunWriter:
    """The files of one run, open for writing by its owner, from construction to `close`."""

    def __init__(
        self,
        directory: RunDirectory,
        recovered: RecoveredRun,
        datasets: Sequence[Dataset],
        format: AppendFormat | FinalizeFormat | None,
        output: Path,
        lease: Lease,
    ) -> None:
        self._directory = directory
        self._lease = lease
        self._log = ResultsLog(directory.results(recovered.epoch))
        self._epoch = recovered.epoch
        self._outcomes = recovered.outcomes
        self._logs = recovered.logs
        self._logs.add(recovered.epoch, os.dup(self._log.descriptor))
        self.assembly = Assembly(
            recovered, datasets, self._logs, format, output, directory.failed_items, directory.group_footers
        )
        self._last_checkpoint = self.assembly.checkpoint
        self._blocks_logged = [0, 0, 0]  # of each of a checkpoint's files, in this log
        self._next_checkpoint: tuple[Checkpoint, Future[None]] | None = None
        self._events_path = directory.events
        self._events = _append_to(self._events_path)
        self._errors = ErrorLog(directory)
        self.attempts = recovered.attempts
        self.first_surplus: int | None = None
        self._unsynced = False
        self._syncer = ThreadPoolExecutor(1, "mpibatch-sync")
        self._syncing: Future[None] | None = None
        self._schemas_logged: set[int] = set()
        self._plan, self._datasets = recovered.plan, datasets
        self.failure_kinds = FailureKinds()
        self._executors = _append_to(directory.executors)

    def ensure_owned(self) -> None:
        """Before anything is written that a successor may have written. Raises StoppedEarly where there is one."""
        self._lease.check()

    def log_grants(self, grants: Sequence[Grant]) -> None:
        """They are about to be sent: whoever comes next knows what was in flight."""
        if grants:
            entries = [(grant.rank, grant.alone, grant.first, grant.count) for grant in grants]
            self._log.append(RecordType.GRANTED, len(entries), np.array(entries, dtype=GRANT_DTYPE).tobytes())

    def log_lost_rank(self, rank: int, attempts: int) -> None:
        """So many attempts were lost with a rank; nobody can tell how they went."""
        self.attempts[AttemptOutcome.LOST_RANK] += attempts
        self._log.append(RecordType.LOST, rank)

    def reopen(self, indices: NDArray[np.int64]) -> None:
        """These mini-batches are to be run again: noted first and durably, so that a resume of this resume knows."""
        if len(indices):
            self._log.append(RecordType.REOPENED, len(indices), indices.astype("<i8").tobytes())
            self._log.sync()

    def assemble(self) -> tuple[bool, list[RejectedRows]]:
        """Some more of the output: whether there is still more, and the successes that did not fit."""
        self._lease.check()
        more, rejected = self.assembly.advance(), self.assembly.take_rejected()
        for one in rejected:
            self.log_failure(one.failure, one.index)
        new = [one.index for one in rejected if not self._outcomes.table["rejected"][one.index]]
        if new:  # and not one that an earlier incarnation has noted
            self._outcomes.table["rejected"][new] = True
            self._log.append(RecordType.REJECTED, len(new), np.array(new, dtype="<i8").tobytes())
        return more, rejected

    def record_attempts(self, records: NDArray[np.void], data: RowData) -> list[Failure]:
        """Every attempt, final or not: its event, and the failures of those that failed."""
        self.attempts += np.bincount(records["cause"], minlength=len(AttemptOutcome))
        _write(self._events, records.tobytes(), self._events_path)
        if self.first_surplus is None and (surplus := records["flags"] & Flag.SURPLUS).any():
            self.first_surplus = int(records["index"][np.argmax(surplus)])
        failures: list[Failure] = []
        failed = np.flatnonzero(records["failure_bytes"])
        if len(failed):
            ends = np.cumsum(records["row_bytes"] + records["failure_bytes"])
            for place in failed:
                end = int(ends[place])
                of_attempt = decode_failures(data[end - int(records["failure_bytes"][place]) : end])
                for failure in of_attempt:
                    self.log_failure(failure, int(records["index"][place]))
                failures += of_attempt
        return failures

    def log_failure(self, failure: Failure, mini_batch: int = UNKNOWN) -> None:
        """For logs/user/error.txt, and counted by kind."""
        self.failure_kinds.add(failure, mini_batch, lambda: self._item_name(failure, mini_batch))
        self._errors.write(failure, mini_batch)

    def log_executor(self, rank: int, host: str, seconds: float) -> None:
        """An executor has become ready, `seconds` after it was started."""
        line = json.dumps({"rank": rank, "host": host, "ready": time.time(), "seconds": round(seconds, 4)}) + "\n"
        _write(self._executors, line.encode(), self._directory.executors)

    def _item_name(self, failure: Failure, index: int) -> str:
        """Of the first item that was lost."""
        if index == UNKNOWN:
            return ""
        mini_batch = self._plan.mini_batch(index)
        named = self._datasets[mini_batch.dataset].failed_items(mini_batch.payload, failure.lost, mini_batch.items)
        return named[0].item.encode("utf-8", "backslashreplace").decode() if named else ""

    def add_schema(self, id: int, description: bytes) -> None:
        """A schema that records to come refer to by its number. Each log has its own: another may be damaged."""
        if id not in self._schemas_logged:
            self._schemas_logged.add(id)
            self._log.append(RecordType.SCHEMA, id, description)
            self.assembly.add_schema(id, description)

    def append_final(self, records: NDArray[np.void], data: RowData, final: NDArray[np.bool_]) -> None:
        """Those of the attempts that are final go to the log."""
        if not final.all():
            ends = np.cumsum(records["row_bytes"] + records["failure_bytes"])
            starts = ends - records["row_bytes"] - records["failure_bytes"]
            data = b"".join(data[starts[place] : ends[place]] for place in np.flatnonzero(final))
            records = records[final]
        if len(records):
            self._lease.check()
            body = self._log.append(RecordType.RESULTS, len(records), records.tobytes(), data)
            self._outcomes.accept(records, self._epoch, body)
            self._unsynced = True

    def sync(self) -> None:
        """Once a second: what is in the log will soon survive a crash of the machine.

        In a thread, since a disk takes tens of milliseconds for it, or seconds, and workers would wait.
        """
        if self._syncing is not None:
            if not self._syncing.done():
                return
            self._syncing.result()
        if self._unsynced:
            self._unsynced = False
            self._syncing = self._syncer.submit(self._log.sync)

    def checkpoint(self) -> None:
        """Every few seconds: a resume starts from here. Noted a call later, when the output has it on the disk."""
        if self._next_checkpoint is not None:
            checkpoint, synced = self._next_checkpoint
            if not synced.done():
                return
            synced.result()
            self._next_checkpoint = None
            if checkpoint.groups.generation == self.assembly.checkpoint.groups.generation:  # else what it says is gone
                self._log_checkpoint(checkpoint)
        if self.assembly.checkpoint != self._last_checkpoint:
            self._next_checkpoint = self.assembly.checkpoint, self._syncer.submit(self.assembly.sync)

    def _log_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._lease.check()
        if checkpoint.groups.generation != self._last_checkpoint.groups.generation:
            self._blocks_logged = [0, self._blocks_logged[1], 0]
        wholes = [position.size // BLOCK_BYTES for position in checkpoint.files]
        spans = zip(self.assembly.blocks, self._blocks_logged, wholes, strict=True)
        body = checkpoint.encode([blocks[first:last] for blocks, first, last in spans])
        self._log.append(RecordType.CHECKPOINT, 0, body)
        self._last_checkpoint, self._blocks_logged = checkpoint, wholes

    def finish(self) -> None:
        """Everything is final and assembled: makes what is made at the end. Raises RunDirectoryError, StoppedEarly."""
        self._lease.check()
        self.assembly.finish()

    @property
    def is_behind(self) -> bool:
        """`assemble` has more to do, though nothing is ready just now."""
        return self.assembly.is_behind

    def cancel_finish(self, reason: str) -> None:
        """`finish`, which may be under way in another thread, raises StoppedEarly soon."""
        self.assembly.cancel(reason)

    def close(self, keep: bool) -> None:
        """`keep`: the logs are needed for what comes next; otherwise they have served, since the output is complete."""
        self._syncer.shutdown()
        if keep:
            with contextlib.suppress(MpibatchError):  # a group that cannot be written: those before it count
                self.assembly.await_group()
            with contextlib.suppress(MpibatchError):  # a full disk, or another owner: the log is good without it
                self.assembly.sync()
                if self.assembly.checkpoint != self._last_checkpoint:
                    self._log_checkpoint(self.assembly.checkpoint)
                self._log.append(RecordType.ENDED, 0)
                self._log.sync()
                self.assembly.write_failures_beyond()
        self.assembly.close()
        epochs = self._logs.epochs
        self._logs.close()
        self._log.close()
        for descriptor in (self._events, self._executors):
            os.close(descriptor)
        self._errors.close()
        try:
            self._lease.check()
        except StoppedEarly:
            return  # what is there now is a successor's
        _make_columnar(self._events_path, keep)
        for epoch in () if keep else epochs:
            self._directory.results(epoch).unlink()
            self._directory.results_index(epoch).unlink(missing_ok=True)
        if not keep:
            self._directory.group_footers.unlink(missing_ok=True)


_REPEATED = ["cause", "rank", "tries", "items", "succeeded", "flags", "schema"]
"""Columns of few values. Looking for such in the times, which hardly repeat, takes longer than all else."""


def _make_columnar(path: Path, keep: bool) -> None:
    """events.bin becomes events.parquet, a column a field, the cause by name."""
    records = np.fromfile(path, dtype=ATTEMPT_DTYPE)
    records = records[records["cause"] < len(AttemptOutcome)]  # others are damage
    causes = texts([cause.name.lower().encode() for cause in AttemptOutcome], pa.string())
    columns: dict[str, pa.Array] = {name: numbers(records[name]) for name, _ in ATTEMPT_FIELDS if name != "pad"}
    columns["cause"] = pa.DictionaryArray.from_arrays(numbers(records["cause"].astype(np.int8)), causes)
    with replacing(path.with_suffix(".parquet")) as file:  # pyarrow opens no path that is not UTF-8
        pq.write_table(pa.table(columns), file, use_dictionary=_REPEATED)
    if not keep:
        path.unlink()


def _append_to(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise RunDirectoryError(f"cannot create {path}: {error.strerror}") from error


def _write(descriptor: int, data: bytes, path: Path) -> None:
    try:
        write_all(descriptor, data)
    except OSError as error:
        raise write_error(path, error) from error
