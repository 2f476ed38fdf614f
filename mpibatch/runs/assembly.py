"""Assembly: row bytes from the results log to the output file in plan order, and failed items beside it.

    results log --RESULTS--> Outcomes (where each mini-batch's bytes are)
                                 |
                     frontier ---+---> output file, failed_items.jsonl      up to the first that is not final

Whatever arrives out of order waits in the log and never in memory. Consecutive mini-batches that also lie side by side
in the log are copied as one piece. The file's schema comes from the first rows in plan order; a later mini-batch that
does not fit it is refused: its items have failed.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpibatch.datasets.base import Dataset
from mpibatch.errors import RunDirectoryError
from mpibatch.output.base import Finalizer, Stream
from mpibatch.runs import failed_items
from mpibatch.runs.outcomes import Outcomes
from mpibatch.runs.plan import Plan
from mpibatch.types import Cause, Failure, decode_failures

STRETCH = 65536  # mini-batches looked at in one go
PIECE = 4 << 20  # bytes copied in one go


@dataclass(frozen=True, slots=True)
class Position:
    """How far assembly has come: what a checkpoint keeps."""

    frontier: int
    output_bytes: int
    failed_bytes: int


class Assembly:
    """Derives the output of one run from its log.

    format: rank 0's half of the output format, None for summary_only
    logs:   descriptors of the log files, by their number in `outcomes`
    """

    def __init__(
        self,
        plan: Plan,
        datasets: Sequence[Dataset],
        outcomes: Outcomes,
        logs: dict[int, int],
        format: Stream | Finalizer | None,
        output: Path,
        failed: Path,
    ) -> None:
        self._plan = plan
        self._datasets = datasets
        self._outcomes = outcomes
        self._logs = logs
        self._format = format
        self._path = output
        self._schemas: dict[int, bytes] = {0: b""}
        self._declared: bytes | None = None
        self._fitting: set[int] = set()
        self._output = _create(output) if isinstance(format, Stream) else None
        self._failed = _create(failed)
        self._output_bytes = 0
        self._failed_bytes = 0
        self.frontier = 0
        self._refusals: dict[int, list[Failure]] = {}
        self._refused: list[int] = []

    @property
    def position(self) -> Position:
        return Position(self.frontier, self._output_bytes, self._failed_bytes)

    def knows(self, schema: int) -> bool:
        return schema in self._schemas

    def learn(self, schema: int, described: bytes) -> None:
        """Schema number `schema` of the attempt records looks like this."""
        self._schemas[schema] = described

    def advance(self, budget: int = 16 << 20) -> bool:
        """Copies what is ready, about `budget` bytes of it; returns whether more is ready."""
        while budget > 0:
            last = self._outcomes.ready_from(self.frontier, STRETCH)
            if last == self.frontier:
                return False
            lengths = np.cumsum(self._outcomes.table["row_bytes"][self.frontier : last])
            last = self.frontier + 1 + int(np.searchsorted(lengths[:-1], budget))
            budget -= int(lengths[last - 1 - self.frontier]) + 1
            self._take(last)
        return True

    def take_refused(self) -> list[int]:
        """For each success refused since the last call, since it did not fit the file's schema, its items."""
        refused, self._refused = self._refused, []
        return refused

    def finish(self) -> None:
        """Everything is final and copied: makes what is made at the end, and closes. Raises RunDirectoryError."""
        if isinstance(self._format, Finalizer):
            self._format.finalize(self._path, self._declared or b"", self._parts())
        self.close(sync=True)

    def close(self, sync: bool) -> None:
        for descriptor in (self._output, self._failed):
            if descriptor is not None:
                if sync:
                    os.fsync(descriptor)
                os.close(descriptor)

    # -- one stretch

    def _take(self, last: int) -> None:
        """Mini-batches [frontier, last), all of them final."""
        table = self._outcomes.table
        first = self.frontier
        if self._format is not None:
            self._settle(self._format, first, last)
        rows = table[first:last]
        sums = rows["row_bytes"]
        if self._output is not None:
            for start, stop in _pieces(rows):
                self._copy(int(rows["log"][start]), int(rows["offset"][start]), int(sums[start:stop].sum()))
        for index in (np.flatnonzero(rows["failure_bytes"]) + first).tolist():
            refusal = self._refusals.pop(index, [])
            self._fail(index, refusal or decode_failures(self.failure_bytes(index)))
        self.frontier = last

    def _settle(self, format: Stream | Finalizer, first: int, last: int) -> None:
        """Agrees on one schema, in plan order, and refuses what does not fit it."""
        rows = self._outcomes.table[first:last]
        strange = (rows["row_bytes"] > 0) & ~np.isin(rows["schema"], list(self._fitting))
        for place in np.flatnonzero(strange):
            schema = int(rows["schema"][place])
            if schema in self._fitting:
                continue
            settled = format.settle(self._declared, self._schemas[schema])
            if settled is None:
                assert self._declared is not None, "the first schema always fits"
                self._refuse(first + int(place), format.explain(self._declared, self._schemas[schema]))
                continue
            if self._declared is None and self._output is not None and isinstance(format, Stream):
                self._output_bytes += self._write(self._output, format.begin(settled))
            self._declared = settled
            self._fitting.add(schema)

    def _refuse(self, index: int, why: str) -> None:
        self._refused.append(int(self._outcomes.table["succeeded"][index]))
        self._refusals[index] = [Failure(Cause.WRONG_RETURN.name.lower(), why)]
        entry = self._outcomes.table[index]
        entry["row_bytes"], entry["failure_bytes"] = 0, max(1, entry["failure_bytes"])

    def _fail(self, index: int, failures: list[Failure]) -> None:
        mini_batch = self._plan.mini_batch(index)
        items = int(self._outcomes.table["items"][index])
        text = failed_items.lines(mini_batch, self._datasets[mini_batch.dataset], items, failures)
        self._failed_bytes += self._write(self._failed, text)

    def _copy(self, log: int, offset: int, length: int) -> None:
        assert self._output is not None
        while length:
            piece = os.pread(self._logs[log], min(length, PIECE), offset)
            if not piece:
                raise RunDirectoryError(f"the results log ends before row bytes at {offset} that it has promised")
            self._output_bytes += self._write(self._output, piece)
            offset, length = offset + len(piece), length - len(piece)

    def _write(self, descriptor: int, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            raise RunDirectoryError(
                f"cannot write below {self._path.parent}: {error.strerror}. The results log has all that was done: "
                "make room, then go on with `mpibatch resume`."
            ) from error
        return len(data)

    def failure_bytes(self, index: int) -> bytes:
        entry = self._outcomes.table[index]
        return os.pread(
            self._logs[int(entry["log"])], int(entry["failure_bytes"]), int(entry["offset"] + entry["row_bytes"])
        )

    def _parts(self) -> Iterator[tuple[bytes, bytes]]:
        table = self._outcomes.table
        for index in np.flatnonzero(table["row_bytes"]):
            entry = table[index]
            data = os.pread(self._logs[int(entry["log"])], int(entry["row_bytes"]), int(entry["offset"]))
            yield self._schemas[int(entry["schema"])], data


def _pieces(rows: NDArray[np.void]) -> Iterator[tuple[int, int]]:
    """Spans of mini-batches whose row bytes lie side by side in one log."""
    present = np.flatnonzero(rows["row_bytes"])
    if not len(present):
        return
    offset, length, log = (rows[field][present] for field in ("offset", "row_bytes", "log"))
    apart = (offset[1:] != offset[:-1] + length[:-1]) | (log[1:] != log[:-1])
    cuts = np.flatnonzero(apart) + 1
    starts = np.concatenate(([0], cuts))
    stops = np.concatenate((cuts, [len(present)]))
    yield from zip(present[starts].tolist(), (present[stops - 1] + 1).tolist(), strict=True)


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise RunDirectoryError(f"cannot create {path}: {error.strerror}") from error
