"""What rank 0 writes while a run goes on: each attempt's event, each final outcome's log record, what follows from it.

    Results --events.bin, error.txt--> scheduler says which are final --> results log --> Outcomes --> Assembly

`count` is kept by cause for the summary. Everything here may raise RunDirectoryError: the disk is full, or gone.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mpibatch.datasets.base import Dataset
from mpibatch.errors import RunDirectoryError
from mpibatch.output.base import Finalizer, Stream
from mpibatch.runs.assembly import Assembly
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.log import RecordType, ResultsLog
from mpibatch.runs.outcomes import ATTEMPT_DTYPE, Outcomes
from mpibatch.runs.plan import Plan
from mpibatch.types import ATTEMPT_FIELDS, Cause, Failure, Flag, decode_failures

UNSEEN = -1


class Recorder:
    """The files of one run, open for writing; the run directory is new."""

    def __init__(
        self,
        directory: RunDirectory,
        plan: Plan,
        datasets: Sequence[Dataset],
        format: Stream | Finalizer | None,
        output: Path,
        epoch: int = 1,
    ) -> None:
        self._log = ResultsLog(directory.results(epoch))
        self._epoch = epoch
        self._outcomes = Outcomes.none_of(plan.total)
        logs = {epoch: self._log.descriptor}
        self.assembly = Assembly(plan, datasets, self._outcomes, logs, format, output, directory.failed_items)
        self._directory = directory
        self._events = _append_to(directory.events)
        self._errors = _append_to(directory.error_log)
        self.attempts = np.zeros(len(Cause), dtype=np.int64)
        self.surplus = UNSEEN
        self._unsynced = False

    def note(self, rank: int, records: NDArray[np.void], data: bytes) -> list[Failure]:
        """Every attempt, final or not: its event, and the failures of those that failed."""
        self.attempts += np.bincount(records["cause"], minlength=len(Cause))
        _write(self._events, records.tobytes(), self._directory.events)
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
        """A schema that records to come refer to by its number."""
        if not self.assembly.knows(schema):
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
            body = self._log.append(RecordType.RESULTS, len(records), records.tobytes(), data)
            self._outcomes.accept(records, self._epoch, body)
            self._unsynced = True

    def sync(self) -> None:
        """Once a second: what is in the log survives a crash of the machine from here on."""
        if self._unsynced:
            self._unsynced = False
            self._log.sync()

    def close(self, keep: bool) -> None:
        """`keep`: the log is needed for what comes next; otherwise it has served, since the output is complete."""
        if keep:
            self._log.sync()
        self._log.close()
        if not keep:
            self._log.path.unlink()
        os.close(self._events)
        os.close(self._errors)
        _make_columnar(self._directory.events)


def _make_columnar(path: Path) -> None:
    """events.bin becomes events.parquet, a column a field, the cause by name."""
    records = np.fromfile(path, dtype=ATTEMPT_DTYPE)
    causes = pa.array([cause.name.lower() for cause in Cause])
    columns: dict[str, pa.Array] = {
        name: pa.array(np.ascontiguousarray(records[name])) for name, _ in ATTEMPT_FIELDS if name != "pad"
    }
    columns["cause"] = pa.DictionaryArray.from_arrays(pa.array(records["cause"].astype(np.int8)), causes)
    temporary = path.with_name(f".events.{os.getpid()}")
    pq.write_table(pa.table(columns), temporary)
    temporary.replace(path.with_suffix(".parquet"))
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
        raise RunDirectoryError(
            f"cannot write {path}: {error.strerror}. The results log has all that was done before: make room, then go "
            "on with `mpibatch resume`."
        ) from error
