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
from mpibatch.runs.directory import cannot_write
from mpibatch.runs.files import File
from mpibatch.runs.history import History, Position
from mpibatch.types import Cause, Failure, decode_failures

STRETCH = 65536  # mini-batches looked at in one go
PIECE = 4 << 20  # bytes copied in one go


@dataclass(frozen=True, slots=True)
class Refused:
    """A success whose rows do not fit the file's schema: its items have failed after all."""

    items: int
    failure: Failure


class Assembly:
    """Derives the output of one run from its logs, going on from where `history` says.

    format: rank 0's half of the output format, None for summary_only
    logs:   descriptors of the log files, by epoch
    """

    def __init__(
        self,
        history: History,
        datasets: Sequence[Dataset],
        logs: dict[int, int],
        format: Stream | Finalizer | None,
        output: Path,
        failed: Path,
    ) -> None:
        self._plan = history.plan
        self._outcomes = history.outcomes
        self._datasets = datasets
        self._logs = logs
        self._format = format
        self._path = output
        self._schemas: dict[int, bytes] = {0: b"", **history.schemas}
        self._declared: bytes | None = None
        self._fitting: set[int] = set()
        self._refusals: dict[int, list[Failure]] = {}
        self._refused: list[Refused] = []
        self._failed = File(failed)
        self._output = File(output) if isinstance(format, Stream) else None
        self.frontier = 0
        self._go_back_to(history.position, history.damage)
        self.position = self._position()

    def _go_back_to(self, position: Position, damage: list[str]) -> None:
        """Cuts the files back to `position`; from the start where they are not what was written."""
        output = self._output
        if not self._failed.cut(position.failed_bytes, position.failed_crc) or (
            output is not None and not output.cut(position.output_bytes, position.output_crc)
        ):
            damage.append(f"{self._path.name} or {self._failed.path.name} was changed by others: both are made anew")
            position = Position()
            for file in filter(None, (self._failed, output)):
                file.cut(0, 0)
        while self.frontier < position.frontier:
            # what was settled before is settled again, without writing
            last = min(self.frontier + STRETCH, position.frontier)
            if self._format is not None:
                self._settle(self._format, self.frontier, last, begin=False)
            self.frontier = last
        self._refusals.clear()

    def _position(self) -> Position:
        """What a checkpoint says; taken only between stretches, since a write that fails leaves half of one behind."""
        output, failed = self._output, self._failed
        written = (0, 0) if output is None else (output.size, output.crc)
        return Position(self.frontier, *written, failed.size, failed.crc)

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

    def take_refused(self) -> list[Refused]:
        """The successes refused since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def finish(self) -> None:
        """Everything is final and copied: makes what is made at the end. Raises RunDirectoryError."""
        if isinstance(self._format, Finalizer):
            try:
                self._format.finalize(self._path, self._declared or b"", self._parts())
            except OSError as error:
                raise cannot_write(self._path, error) from error
        self.sync()

    @property
    def to_be_made(self) -> int:
        """Row bytes that `finish` has to go through."""
        return int(self._outcomes.table["row_bytes"].sum()) if isinstance(self._format, Finalizer) else 0

    def sync(self) -> None:
        """What was written survives a crash of the machine from here on."""
        for file in filter(None, (self._failed, self._output)):
            file.sync()

    def close(self) -> None:
        for file in filter(None, (self._failed, self._output)):
            file.close()

    # -- one stretch

    def _take(self, last: int) -> None:
        """Mini-batches [frontier, last), all of them final."""
        table = self._outcomes.table
        first = self.frontier
        if self._format is not None:
            self._settle(self._format, first, last, begin=True)
        rows = table[first:last]
        sums = rows["row_bytes"]
        if self._output is not None:
            for start, stop in _pieces(rows):
                self._copy(int(rows["log"][start]), int(rows["offset"][start]), int(sums[start:stop].sum()))
        for index in (np.flatnonzero(rows["failure_bytes"]) + first).tolist():
            refusal = self._refusals.pop(index, [])
            self._fail(index, refusal or decode_failures(self.failure_bytes(index)))
        self.frontier = last
        self.position = self._position()

    def _settle(self, format: Stream | Finalizer, first: int, last: int, begin: bool) -> None:
        """Agrees on one schema, in plan order, and refuses what does not fit it; `begin`s the file with the first."""
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
            if begin and self._declared is None and self._output is not None and isinstance(format, Stream):
                self._output.write(format.begin(settled))
            self._declared = settled
            self._fitting.add(schema)

    def _refuse(self, index: int, why: str) -> None:
        failure = Failure(Cause.WRONG_RETURN.name.lower(), f"mini-batch {index}: {why}")
        self._refused.append(Refused(int(self._outcomes.table["succeeded"][index]), failure))
        self._refusals[index] = [failure]
        entry = self._outcomes.table[index]
        entry["row_bytes"], entry["failure_bytes"] = 0, max(1, entry["failure_bytes"])

    def _fail(self, index: int, failures: list[Failure]) -> None:
        mini_batch = self._plan.mini_batch(index)
        items = int(self._outcomes.table["items"][index])
        self._failed.write(failed_items.lines(mini_batch, self._datasets[mini_batch.dataset], items, failures))

    def _copy(self, log: int, offset: int, length: int) -> None:
        assert self._output is not None
        while length:
            piece = os.pread(self._logs[log], min(length, PIECE), offset)
            if not piece:
                raise RunDirectoryError(f"the results log ends before row bytes at {offset} that it has promised")
            self._output.write(piece)
            offset, length = offset + len(piece), length - len(piece)

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
