"""An output of row groups (Parquet), written by a thread of its own as the frontier of assembly advances.

    results log --rows up to the frontier--> Collected --a group is full--> encode_group --bytes---> output
                                                                                         --footer--> footers, beside it
    all is final: the last group, then encode_end(all footers)             -------------------------> output

What a group holds follows from plan order alone, so that the same bytes come of it whatever the timing. A resume cuts
both files at the checkpoint and goes on with the first row that no group has. Where types widen after groups were
written the output begins anew: the log has everything. The side file begins with a record that says which beginning it
is of, and in which types.
"""

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mpibatch.errors import MpibatchError, RunDirectoryError, StoppedEarly
from mpibatch.files import write_error
from mpibatch.output.base import GroupFormat
from mpibatch.runs.checkpoint import Checkpoint, GroupsWritten
from mpibatch.runs.checksummed_file import BEGINNING, ChecksummedFile, FileState

LENGTH = struct.Struct("<Q")  # of a record of the side file, before it
GENERATION = struct.Struct("<I")  # the first record is this, and then what `final_schema` says
PART_BYTES = 1 << 20  # of the side file, read at once

Parts = Callable[[int, int], Iterator[tuple[int, bytes, bytes]]]
"""Of mini-batches [first, last) those that have rows: number, schema, data."""


class GroupedOutput:
    """All but the thread's work is called by one thread at a time.

    written: how far output and side file have come, and which row is next; said only once both have all of it
    """

    def __init__(self, path: Path, footers: Path, format: GroupFormat, parts: Parts, total: int) -> None:
        self.output = ChecksummedFile(path)
        self.footers = ChecksummedFile(footers)
        self.written: tuple[FileState, FileState, GroupsWritten] = BEGINNING, BEGINNING, GroupsWritten()
        self._format = format
        self._parts = parts
        self._total = total
        self._collected = format.collect()
        self._taken = self._skip = 0  # the next mini-batch to collect, and how many rows of it groups have already
        self._types = b""  # `final_schema` of what is written
        self._adapted_to: bytes | None = None  # the schema that has these types
        self._begins_anew = False  # what both files hold is to be cut off
        self._discarded = 0  # mini-batches whose rows were in groups that were cut off
        self._is_unwritable = False  # as it looked last: `finish` says so
        self._thread = ThreadPoolExecutor(1, "mpibatch-groups")
        self._job: Future[None] | None = None

    def began_anew_after(self, checkpoint: Checkpoint) -> bool:
        """Whether the files are of a later beginning, which no checkpoint has told yet."""
        head = self._record(0)
        return len(head) >= GENERATION.size and GENERATION.unpack_from(head)[0] > checkpoint.groups.generation

    def restored(self, checkpoint: Checkpoint) -> None:
        """Both files are as they were at the checkpoint."""
        self.written = checkpoint.output, checkpoint.footers, checkpoint.groups
        self._taken, self._skip = checkpoint.groups.batch, checkpoint.groups.row
        self._types = self._record(0)[GENERATION.size :] if checkpoint.footers != BEGINNING else b""

    @property
    def is_writing(self) -> bool:
        """The thread is at work, or what it has met is still to be told."""
        return self._job is not None

    @property
    def is_behind(self) -> bool:
        """Something is under way, or would be at the next `advance` when all is final."""
        return self.is_writing or (not self._is_unwritable and self._taken < self._total)

    def advance(self, frontier: int, schema: bytes) -> None:
        """Another group, in the thread, when there are rows for one. Raises what the last one met.

        schema: what the mini-batches up to `frontier`, all of them final, have in common
        """
        if self._job is not None and not self._job.done():
            return
        self.await_group()
        if self._is_unwritable or self._taken >= frontier:
            return
        self._adapt(schema)
        if frontier == self._total or self._discarded <= self._total:  # else types widen too often: once all is final
            self._job = self._thread.submit(self._write_group, frontier, schema)

    def await_group(self) -> None:
        """Waits for what is under way. Raises RunDirectoryError, StoppedEarly."""
        job, self._job = self._job, None
        if job is None:
            return
        try:
            job.result()
        except (RunDirectoryError, StoppedEarly):
            raise
        except MpibatchError:  # no type of the file for the rows: unless later ones widen it
            self._is_unwritable = True

    def write_rest(self, schema: bytes) -> None:
        """Everything is final: what is not yet written. No checkpoint has the last group, which may be a small one."""
        self.await_group()
        if self._is_unwritable:
            self._begin_anew()
        self._adapt(schema)
        while self._taken < self._total:
            self._write_group(self._total, schema)
        if self._collected.rows:
            self._write(schema, last=True)

    def write_end(self, schema: bytes) -> None:
        end = self._format.encode_end(self.output.path, schema, self._footers())
        self.output.write(end)

    def close(self) -> None:
        self._thread.shutdown()
        self.output.close()
        self.footers.close()

    # -- types

    def _adapt(self, schema: bytes) -> None:
        if schema == self._adapted_to:
            return
        types = self._format.final_schema(schema)
        if types != self._types and self.written[1] != BEGINNING:
            self._begin_anew()
        self._types, self._adapted_to = types, schema

    def _begin_anew(self) -> None:
        """The thread cuts the files off when it begins: before, no checkpoint may tell of what they had."""
        _, _, groups = self.written
        self._discarded += groups.batch
        self.written = BEGINNING, BEGINNING, GroupsWritten(generation=groups.generation + 1)
        self._collected = self._format.collect()
        self._taken = self._skip = 0
        self._begins_anew, self._is_unwritable = True, False

    # -- in the thread

    def _write_group(self, last: int, schema: bytes) -> None:
        """Collects the rows of mini-batches up to `last`, until there is a group, which is written."""
        if self._begins_anew:
            self.output.clear()
            self.footers.clear()
            self._begins_anew = False
        for index, of_batch, data in self._parts(self._taken, last):
            rows = self._collected.add(of_batch, data, self._skip)
            self._taken, self._skip = index + 1, 0
            if self._collected.is_full:
                self._write(schema, last=False)
                left = self._collected.rows
                batch, row = (index, rows - left) if left else (index + 1, 0)
                groups = GroupsWritten(batch, row, self.written[2].generation)
                self.written = self.output.position, self.footers.position, groups
                return
        self._taken = last

    def _write(self, schema: bytes, last: bool) -> None:
        path = self.output.path
        try:
            footer = self._format.encode_group(path, schema, self._collected, self.output.size, last, self.output.write)
        except OSError as error:
            raise write_error(path, error) from error
        if not self.footers.size:
            self._append(GENERATION.pack(self.written[2].generation) + self._types)
        self._append(footer)

    # -- the side file

    def _append(self, record: bytes) -> None:
        self.footers.write(LENGTH.pack(len(record)) + record)

    def _record(self, offset: int) -> bytes:
        """Fewer bytes where the file was cut or damaged."""
        head = self.footers.read(offset, LENGTH.size)
        if len(head) < LENGTH.size:
            return b""
        offset, (left,) = offset + LENGTH.size, LENGTH.unpack(head)
        parts = []
        while left and (part := self.footers.read(offset, min(left, PART_BYTES))):
            parts.append(part)
            offset, left = offset + len(part), left - len(part)
        return b"".join(parts)

    def _footers(self) -> Iterator[bytes]:
        offset = 0
        while offset < self.footers.size:
            record = self._record(offset)
            if offset:
                yield record
            offset += LENGTH.size + len(record)
