"""Assembly: row bytes from the results log to the output file in plan order, and failed items beside it.

    results log --RESULTS--> OutcomeTable (where each mini-batch's bytes are)
                                 |
                     frontier ---+---> output file, failed_items.jsonl      up to the first that is not final
                                 +---> row groups (grouped_output.py)       the same, as far as there are rows for one

Whatever arrives out of order waits in the log and never in memory. Consecutive mini-batches that also lie side by side
in the log are copied as one piece. The file's schema comes from the first rows in plan order; a later mini-batch that
does not fit it is rejected: its items have failed.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempts import AttemptOutcome, Failure
from mpibatch.datasets.base import Dataset
from mpibatch.errors import RunDirectoryError, StoppedEarly
from mpibatch.files import sync_folder, write_error
from mpibatch.output.base import AppendFormat, FinalizeFormat, GroupFormat
from mpibatch.runs import failed_items
from mpibatch.runs.checkpoint import Checkpoint, GroupsWritten
from mpibatch.runs.checksummed_file import BEGINNING, NO_BLOCKS, ChecksummedFile
from mpibatch.runs.grouped_output import GroupedOutput
from mpibatch.runs.log_reader import LogReader
from mpibatch.runs.recovery import RecoveredRun

MAX_BATCHES = 65536  # mini-batches looked at in one go
COPY_BYTES = 4 << 20  # bytes copied in one go


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """The mini-batch `index`: a success whose rows do not fit the file's schema, so that its items have failed."""

    index: int
    items: int
    failure: Failure


class Assembly:
    """Derives the output of one run from its logs, starting at the checkpoint of `recovered`.

    format: rank 0's half of the output format, None for summary_only
    logs:   of all incarnations, this one's too
    footers: the side file of an output of row groups
    """

    def __init__(
        self,
        recovered: RecoveredRun,
        datasets: Sequence[Dataset],
        logs: LogReader,
        format: AppendFormat | FinalizeFormat | None,
        output: Path,
        failed: Path,
        footers: Path,
    ) -> None:
        self._plan = recovered.plan
        self._outcomes = recovered.outcomes
        self._datasets = datasets
        self._logs = logs
        self._format = format
        self._path = output
        self._schemas: dict[int, bytes] = {0: b"", **recovered.schemas}
        self._declared: bytes | None = None
        self._fitting: set[int] = set()
        self._reordered: set[int] = set()
        self._rejections: dict[int, list[Failure]] = {}
        self._rejected: list[RejectedRows] = []
        self._cancelled = ""
        self._failed = ChecksummedFile(failed)
        self._output = ChecksummedFile(output) if isinstance(format, AppendFormat) else None
        self._groups: GroupedOutput | None = None
        if isinstance(format, GroupFormat):
            self._groups = GroupedOutput(output, footers, format, self._parts, recovered.plan.total)
        self.frontier = 0
        self._restore(recovered)
        self.checkpoint = self._current_checkpoint()

    def _restore(self, recovered: RecoveredRun) -> None:
        """The files as they were at the checkpoint; from the start where they are not what was written."""
        checkpoint, groups = recovered.checkpoint, self._groups
        is_later = groups is not None and groups.began_anew_after(checkpoint)
        restored = [
            file.restore(position, blocks)
            for file, position, blocks in zip(self._by_place, checkpoint.files, recovered.blocks, strict=True)
            if file is not None
        ]
        if not all(restored):
            if not is_later:
                names = f"{self._path.name} or {self._failed.path.name}"
                recovered.warnings.append(f"{names} was changed by others: both are made anew")
            checkpoint = Checkpoint(groups=GroupsWritten(generation=checkpoint.groups.generation + 1))
            for file in self._files:
                file.restore(BEGINNING, NO_BLOCKS)
        if groups is not None:
            groups.restored(checkpoint)
        while self.frontier < checkpoint.frontier:
            # schemas are merged as before, without writing
            last = min(self.frontier + MAX_BATCHES, checkpoint.frontier)
            if self._format is not None:
                self._merge_schemas(self._format, self.frontier, last, write_header=False)
            self.frontier = last
        self._rejections.clear()

    def _current_checkpoint(self) -> Checkpoint:
        """What a checkpoint says; taken only between stretches, since a write that fails leaves half of one behind."""
        output = BEGINNING if self._output is None else self._output.position
        return self._with_groups(Checkpoint(self.frontier, output, self._failed.position))

    def _with_groups(self, checkpoint: Checkpoint) -> Checkpoint:
        if self._groups is None:
            return checkpoint
        output, footers, groups = self._groups.written
        return replace(checkpoint, output=output, footers=footers, groups=groups)

    @property
    def _by_place(self) -> tuple[ChecksummedFile | None, ...]:
        """In the order of `Checkpoint.files`; None for what there is not."""
        if self._groups is not None:
            return self._groups.output, self._failed, self._groups.footers
        return self._output, self._failed, None

    @property
    def _files(self) -> list[ChecksummedFile]:
        return [*filter(None, self._by_place)]

    @property
    def blocks(self) -> "list[array[int]]":
        """The checksums of whole blocks of each file; only appended to, until an output of row groups begins anew."""
        return [NO_BLOCKS if file is None else file.blocks for file in self._by_place]

    @property
    def is_behind(self) -> bool:
        """When all is final: the output still lacks what `advance` can write."""
        return self._groups is not None and self._groups.is_behind

    def add_schema(self, id: int, description: bytes) -> None:
        """Schema number `id` of the attempt records looks like this."""
        self._schemas[id] = description

    def advance(self, budget: int = 16 << 20) -> bool:
        """Copies what is ready, about `budget` bytes of it; returns whether more is ready."""
        more = self._advance(budget)
        if self._groups is not None:
            self._groups.advance(self.frontier, self._declared or b"")
            self.checkpoint = self._with_groups(self.checkpoint)
        return more

    def _advance(self, budget: int) -> bool:
        while budget > 0:
            last = self._outcomes.ready_from(self.frontier, MAX_BATCHES)
            if last == self.frontier:
                return False
            lengths = np.cumsum(self._outcomes.table["row_bytes"][self.frontier : last])
            last = self.frontier + 1 + int(np.searchsorted(lengths[:-1], budget))
            budget -= int(lengths[last - 1 - self.frontier]) + 1
            self._assemble(last)
        return True

    def take_rejected(self) -> list[RejectedRows]:
        """The successes refused since the last call."""
        rejected, self._rejected = self._rejected, []
        return rejected

    def finish(self) -> None:
        """Everything is final and copied: makes what is made at the end. Raises RunDirectoryError, StoppedEarly."""
        schema = self._declared or b""
        if self._groups is not None:
            self._groups.write_rest(schema)
            self.checkpoint = self._with_groups(self.checkpoint)
            self._ensure_undamaged([self._groups.footers])
            self._groups.write_end(schema)
        elif isinstance(self._format, FinalizeFormat):
            parts = ((of_batch, data) for _, of_batch, data in self._parts(0, self._plan.total))
            try:
                self._format.finalize(self._path, schema, parts)
            except OSError as error:
                raise write_error(self._path, error) from error
        self.sync()
        self._ensure_written()

    def await_group(self) -> None:
        """What another thread is writing is written, and the checkpoint tells of it. Raises RunDirectoryError."""
        if self._groups is not None and self._groups.is_writing:
            try:
                self._groups.await_group()
            finally:
                self.checkpoint = self._with_groups(self.checkpoint)

    def cancel(self, reason: str) -> None:
        """`finish`, which may be under way in another thread, raises StoppedEarly soon."""
        self._cancelled = reason

    def _ensure_not_cancelled(self) -> None:
        if self._cancelled:
            raise StoppedEarly(self._cancelled)

    def _ensure_written(self) -> None:
        """What the names name is what was written, and survives a crash. Raises RunDirectoryError."""
        files = self._files
        for file in files:
            sync_folder(file.path.parent)
        self._ensure_undamaged(files)

    def _ensure_undamaged(self, files: list[ChecksummedFile]) -> None:
        if damage := "; ".join(filter(None, (file.damage(self._ensure_not_cancelled) for file in files))):
            self.checkpoint = Checkpoint()  # what others have touched is not gone on with
            raise RunDirectoryError(
                f"{damage} while the run was at work. The results log has everything: `mpibatch resume` makes the "
                "output again. Keep other programs away from it until the run is complete."
            )

    def write_failures_beyond(self) -> None:
        """At the end of a run that stops: failures that are known, of mini-batches behind one that is not final.

        Nothing may be assembled after it; a resume cuts them off again, since no checkpoint has them.
        """
        table = self._outcomes.table[self.frontier :]
        for index in (np.flatnonzero(table["final"] & (table["failure_bytes"] > 0)) + self.frontier).tolist():
            self._write_failed(index)

    def sync(self) -> None:
        """What was written survives a crash of the machine from here on."""
        for file in self._files:
            file.sync()

    def close(self) -> None:
        if self._groups is not None:
            self._groups.close()
        for file in filter(None, (self._failed, self._output)):
            file.close()

    # -- one stretch

    def _assemble(self, last: int) -> None:
        """Mini-batches [frontier, last), all of them final."""
        table = self._outcomes.table
        first = self.frontier
        if self._format is not None:
            self._merge_schemas(self._format, first, last, write_header=True)
        rows = table[first:last]
        sums = rows["row_bytes"]
        if self._output is not None:
            for start, stop in _contiguous(rows, np.isin(rows["schema"], list(self._reordered))):
                log, offset = int(rows["log"][start]), int(rows["offset"][start])
                if int(rows["schema"][start]) in self._reordered:
                    self._copy_reordered(log, offset, int(sums[start]), int(rows["schema"][start]))
                else:
                    self._copy(log, offset, int(sums[start:stop].sum()))
        for index in (np.flatnonzero(rows["failure_bytes"]) + first).tolist():
            self._write_failed(index)
        self._rejections.clear()  # not one by one: if a write fails, all of the stretch are told at the end
        self.frontier = last
        self.checkpoint = self._current_checkpoint()

    def _merge_schemas(self, format: AppendFormat | FinalizeFormat, first: int, last: int, write_header: bool) -> None:
        """Agrees on one schema, in plan order, and refuses what does not fit it; `begin`s the file with the first."""
        rows = self._outcomes.table[first:last]
        unchecked = (rows["row_bytes"] > 0) & ~np.isin(rows["schema"], list(self._fitting))
        for position in np.flatnonzero(unchecked):
            schema = int(rows["schema"][position])
            if schema in self._fitting:
                continue
            merged = format.merge_schema(self._declared, self._schemas[schema])
            if merged is None:
                assert self._declared is not None, "the first schema always fits"
                self._reject(first + int(position), format.explain_mismatch(self._declared, self._schemas[schema]))
                continue
            if (
                write_header
                and self._declared is None
                and self._output is not None
                and isinstance(format, AppendFormat)
            ):
                self._output.write(format.header(merged))
            self._declared = merged
            self._fitting.add(schema)
            if isinstance(format, AppendFormat) and merged != self._schemas[schema]:
                self._reordered.add(schema)

    def _reject(self, index: int, why: str) -> None:
        failure = Failure(AttemptOutcome.WRONG_RETURN.name.lower(), f"mini-batch {index}: {why}")
        self._rejected.append(RejectedRows(index, int(self._outcomes.table["succeeded"][index]), failure))
        self._rejections[index] = [failure]
        entry = self._outcomes.table[index]
        entry["row_bytes"], entry["failure_bytes"] = 0, max(1, entry["failure_bytes"])

    def _write_failed(self, index: int) -> None:
        failures = self._rejections.get(index) or self._outcomes.read_failures(index, self._logs)
        mini_batch = self._plan.mini_batch(index)
        items = int(self._outcomes.table["items"][index])
        self._failed.write(failed_items.lines(mini_batch, self._datasets[mini_batch.dataset], items, failures))

    def _copy(self, log: int, offset: int, length: int) -> None:
        assert self._output is not None
        while length:
            piece = self._logs.read(log, offset, min(length, COPY_BYTES))
            self._output.write(piece)
            offset, length = offset + len(piece), length - len(piece)

    def _copy_reordered(self, log: int, offset: int, length: int, schema: int) -> None:
        """Rows whose columns are those of the file in another order."""
        assert self._output is not None
        assert isinstance(self._format, AppendFormat)
        assert self._declared is not None
        data = self._logs.read(log, offset, length)
        self._output.write(self._format.reorder(self._declared, self._schemas[schema], data))

    def _parts(self, first: int, last: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Of mini-batches [first, last) those that have rows: number, schema, data. In any thread."""
        table = self._outcomes.table
        for index in (np.flatnonzero(table["row_bytes"][first:last]) + first).tolist():
            self._ensure_not_cancelled()
            entry = table[index]
            data = self._logs.read(int(entry["log"]), int(entry["offset"]), int(entry["row_bytes"]))
            yield index, self._schemas[int(entry["schema"])], data


def _contiguous(rows: NDArray[np.void], alone: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Spans of mini-batches whose row bytes lie side by side in one log; those `alone` are spans of their own."""
    present = np.flatnonzero(rows["row_bytes"])
    if not len(present):
        return
    offset, length, log = (rows[field][present] for field in ("offset", "row_bytes", "log"))
    apart = (offset[1:] != offset[:-1] + length[:-1]) | (log[1:] != log[:-1])
    apart |= alone[present][1:] | alone[present][:-1]
    cuts = np.flatnonzero(apart) + 1
    starts = np.concatenate(([0], cuts))
    stops = np.concatenate((cuts, [len(present)]))
    yield from zip(present[starts].tolist(), (present[stops - 1] + 1).tolist(), strict=True)
