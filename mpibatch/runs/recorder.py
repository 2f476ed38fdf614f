"""What rank 0 writes while a run goes on: each attempt's event, each final outcome's log record, what follows from it.

    Results --events.bin, error.txt--> scheduler says which are final --> results log --> Outcomes --> Assembly

`count` is kept by cause for the summary. Everything here may raise RunDirectoryError: the disk is full, or gone.
"""

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mpibatch.datasets.base import Dataset
from mpibatch.errors import MpibatchError, RunDirectoryError
from mpibatch.output.base import Finalizer, Stream
from mpibatch.runs.arrow import numbers, texts
from mpibatch.runs.assembly import Assembly, Refused
from mpibatch.runs.directory import RunDirectory, cannot_write
from mpibatch.runs.history import History
from mpibatch.runs.lease import Lease
from mpibatch.runs.log import RecordType, ResultsLog
from mpibatch.runs.outcomes import ATTEMPT_DTYPE
from mpibatch.types import ATTEMPT_FIELDS, Cause, Failure, Flag, decode_failures

UNSEEN = -1


class Recorder:
    """The files of one run, open for writing by its owner, from construction to `close`."""

    def __init__(
        self,
        directory: RunDirectory,
        history: History,
        datasets: Sequence[Dataset],
        format: Stream | Finalizer | None,
        output: Path,
        lease: Lease,
    ) -> None:
        self._directory = directory
        self._lease = lease
        self._log = ResultsLog(directory.results(history.epoch))
        self._epoch = history.epoch
        self._outcomes = history.outcomes
        self._logs = {**history.logs, history.epoch: self._log.descriptor}
        self.assembly = Assembly(history, datasets, self._logs, format, output, directory.failed_items)
        self._checkpointed = self.assembly.position
        self._events_path = directory.events
        self._events = _append_to(self._events_path)
        self._errors = _append_to(directory.error_log)
        self.attempts = history.attempts
        self.surplus = UNSEEN
        self._unsynced = False
        self._syncer = ThreadPoolExecutor(1, "mpibatch-sync")
        self._syncing: Future[None] | None = None
        self._described: set[int] = set()

    def count_lost(self, attempts: int) -> None:
        """So many attempts were lost with their rank; nobody can tell how they went."""
        self.attempts[Cause.LOST_RANK] += attempts

    def reopen(self, indices: NDArray[np.int64]) -> None:
        """These mini-batches are to be run again: noted first, so that a resume of this resume knows."""
        self._log.append(RecordType.REOPENED, len(indices), indices.astype("<i8").tobytes())

    def assemble(self) -> tuple[bool, list[Refused]]:
        """Some more of the output: whether there is still more, and the successes that did not fit."""
        self._lease.check()
        more, refused = self.assembly.advance(), self.assembly.take_refused()
        for one in refused:
            self.note_failure(one.failure)
        return more, refused

    def note(self, rank: int, records: NDArray[np.void], data: bytes) -> list[Failure]:
        """Every attempt, final or not: its event, and the failures of those that failed."""
        self.attempts += np.bincount(records["cause"], minlength=len(Cause))
        _write(self._events, records.tobytes(), self._events_path)
        if self.surplus == UNSEEN and (surplus := records["flags"] & Flag.SURPLUS).any():
            self.surplus = int(records["index"][np.argmax(surplus)])
        failures: list[Failure] = []
        failed = np.flatnonzero(records["failure_bytes"])
        if len(failed):
            ends = np.cumsum(records["row_bytes"] + records["failure_bytes"])
            for place in failed:
                end = int(ends[place])
                failures += decode_failures(data[end - int(records["failure_bytes"][place]) : end])
            for failure in failures:
                self.note_failure(failure)
        return failures

    def note_failure(self, failure: Failure) -> None:
        """A line, and the traceback, for logs/user/error.txt."""
        text = _error_text(failure)
        _write(self._errors, text.encode("utf-8", "backslashreplace"), self._directory.error_log)

    def learn(self, schema: int, described: bytes) -> None:
        """A schema that records to come refer to by its number. Each log has its own: another may be damaged."""
        if schema not in self._described:
            self._described.add(schema)
            self._log.append(RecordType.SCHEMA, schema, described)
            self.assembly.learn(schema, described)

    def accept(self, records: NDArray[np.void], data: bytes, final: NDArray[np.bool_]) -> None:
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
        """Every few seconds: a resume goes on from here, if the output is what it was: the position has its checksum.

        So nothing needs to be on the disk first.
        """
        position = self.assembly.position
        if position != self._checkpointed:
            self._lease.check()
            self._log.append(RecordType.CHECKPOINT, 0, position.encode())
            self._checkpointed = position

    @property
    def to_be_made(self) -> int:
        """Bytes from which the output is made at the end; 0 where it is written as results come."""
        return self.assembly.to_be_made

    def finish(self) -> None:
        """Everything is final and assembled: makes what is made at the end. Raises RunDirectoryError."""
        self._lease.check()
        self.assembly.finish()

    def close(self, keep: bool) -> None:
        """`keep`: the logs are needed for what comes next; otherwise they have served, since the output is complete."""
        self._syncer.shutdown()
        if keep:
            with contextlib.suppress(MpibatchError):  # a full disk, or another owner: the log is good without it
                self.checkpoint()
                self._log.sync()
        self.assembly.close()
        for descriptor in (*self._logs.values(), self._events, self._errors):
            os.close(descriptor)
        _make_columnar(self._events_path, keep)
        for epoch in () if keep else self._logs:
            self._directory.results(epoch).unlink()


def _make_columnar(path: Path, keep: bool) -> None:
    """events.bin becomes events.parquet, a column a field, the cause by name."""
    records = np.fromfile(path, dtype=ATTEMPT_DTYPE)
    records = records[records["cause"] < len(Cause)]  # others are damage
    causes = texts([cause.name.lower().encode() for cause in Cause], pa.string())
    columns: dict[str, pa.Array] = {name: numbers(records[name]) for name, _ in ATTEMPT_FIELDS if name != "pad"}
    columns["cause"] = pa.DictionaryArray.from_arrays(numbers(records["cause"].astype(np.int8)), causes)
    temporary = path.with_name(f".events.{os.getpid()}")
    try:
        with temporary.open("wb") as file:  # pyarrow opens no path that is not UTF-8
            pq.write_table(pa.table(columns), file)
        temporary.replace(path.with_suffix(".parquet"))
    finally:
        temporary.unlink(missing_ok=True)
    if not keep:
        path.unlink()


def _error_text(failure: Failure) -> str:
    head = f"rank {failure.rank} on {failure.host}, try {failure.tries}: {failure.cause}: {failure.error}\n"
    return head + (failure.traceback.rstrip() + "\n\n" if failure.traceback else "\n")


def _append_to(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise RunDirectoryError(f"cannot create {path}: {error.strerror}") from error


def _write(descriptor: int, data: bytes, path: Path) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        raise cannot_write(path, error) from error
