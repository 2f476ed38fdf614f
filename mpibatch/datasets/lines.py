"""Tables that are text, cut by bytes at row ends: what CSV and JSON lines share.

    plan:   files --cut (map)--> spans of whole rows          payload: path, [first, last) bytes, flags
            spread samples --parse (map)--> types --merge, settle--> one schema, frozen
    load:   bytes of a span --parse with that schema--> Arrow --> DataFrame

All of an input of up to SAMPLE_ALL bytes is the sample; of a larger one the first SAMPLE bytes of up to
SAMPLES slices, spread over all files. A file that cannot be looked at while planning is one slice of its own,
which then fails alone.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from typing import Any

from mpibatch.config.schema import Input, Size, Unit
from mpibatch.datasets.base import FailedItem, LoadError
from mpibatch.datasets.cuts import (
    SEGMENT,
    Marks,
    Scanned,
    cut_at_newlines,
    join_segments,
    row_ends,
    scan_segment,
    whole_rows,
)
from mpibatch.datasets.sources import (
    compression,
    data_files,
    file_size,
    open_file,
    read_compressed,
    read_range,
)
from mpibatch.datasets.tables import Frame, Payloads, Sampler, Span
from mpibatch.errors import InputError
from mpibatch.types import UNKNOWN, Map, Slice

DEFAULT_SIZE = 1 << 20  # bytes a mini-batch
SAMPLE_ALL = 1 << 26  # bytes of an input that is sampled whole
SAMPLE = 1 << 20  # bytes of a sample
SAMPLES = 64

LAST, WHOLE, BROKEN = 1, 2, 4  # flags of a span: ends its file; is all of it, header too; ends inside quotes
_COUNTABLE = 1 << 26  # bytes held in memory to count the rows of a slice that failed
_HEAD = 1 << 16  # bytes read for the header, to begin with
_HEAD_LIMIT = 1 << 24

_NO_HEAD = LoadError(f"no header ends within {_HEAD_LIMIT >> 20} MB; are a quote or the line ends wrong?")

log = logging.getLogger("mpibatch")


@dataclass(frozen=True, slots=True)
class Head:
    """What the beginning of a file tells.

    start: the first byte of the first row
    names: column names, None where rows carry their own
    codec: Python's name of the encoding, without a byte order mark
    """

    start: int
    names: tuple[str, ...] | None
    codec: str
    marks: Marks


@dataclass(frozen=True, slots=True)
class Task:
    """What one call of `map` cuts: a whole file at newlines, or one segment of a file by scanning."""

    path: str
    first: int
    last: int
    scan: bool


@dataclass(frozen=True, slots=True)
class CutUp:
    """The answer: where the rows begin (told by the first task of a file), and the cuts."""

    start: int
    ends: list[int] | Scanned


class Lines(ABC):
    """One input of a text format."""

    reads_data = True
    text_wins: bool  # a column of several types is text

    def __init__(self, spec: Input, size: Size | None) -> None:
        if size and size.unit is not Unit.BYTES:
            raise InputError(f"input {spec.name!r}: mini_batch_size of this type is in bytes, such as 1MB")
        self._spec = spec
        self._step = size.value if size else DEFAULT_SIZE
        self._payloads = Payloads(spec)
        self._schema: Any = None
        self._last_head: tuple[str, Head] | None = None

    @abstractmethod
    def read_head(self, data: bytes, complete: bool) -> Head | None:
        """The head of a file that begins with `data`; None if more of it must be seen. Raises LoadError."""

    @abstractmethod
    def parse(self, data: bytes, head: Head, span: Span, schema: Any) -> Any:
        """An Arrow table of the rows in `data`, by `schema`. Raises LoadError, without naming the place."""

    @abstractmethod
    def infer(self, data: bytes, head: Head) -> Any:
        """An Arrow table of as many rows of a sample as can be read."""

    @abstractmethod
    def needs_scan(self, total: int) -> bool:
        """Whether cuts must be found by scanning, in files of `total` bytes."""

    def splittable(self) -> bool:
        return True

    # Planning

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        files = [(path, _size_or_unknown(path)) for path in data_files(self._spec)]
        whole = [path for path, _ in files if compression(path) or not self.splittable()]
        if whole:
            log.warning(
                "input %r: %d of %d files cannot be split, being compressed or in an encoding without cuts;"
                " each is one mini-batch, such as %s",
                *(self._spec.name, len(whole), len(files), whole[0]),
            )
        total = sum(size for _, size in files)
        samples = Sampler(4096 if total <= SAMPLE_ALL else SAMPLES)
        scan = self.needs_scan(total)
        tasks = [self._tasks(path, size, scan) for path, size in files]
        answers = map(self.cut, (task for group in tasks for task in group))
        for (path, size), group in zip(files, tasks, strict=True):
            spans = list(self._spans(path, size, list(islice(answers, len(group)))))
            if total <= SAMPLE_ALL:
                samples.add(Span(path, 0, size, WHOLE))
            for span in spans:
                if total > SAMPLE_ALL:
                    samples.add(span)
                yield Slice(self._payloads.pack(span))
        self._settle(map, samples.kept)

    def _tasks(self, path: str, size: int, scan: bool) -> list[Task]:
        if size < 0 or compression(path) or not self.splittable():
            return []
        if not scan or size <= self._step:
            return [Task(path, 0, size, False)]
        return [Task(path, at, min(at + SEGMENT, size), True) for at in range(0, size, SEGMENT)]

    def cut(self, task: Task) -> CutUp | None:
        """The cuts of a file or of a segment of it; None if it cannot be read."""
        try:
            start, marks = 0, self.marks()
            if task.first == 0:
                head = self._head_of(task.path)
                start, marks = head.start, head.marks
            else:
                marks = self._head_of(task.path).marks
            with open_file(task.path) as file:
                if not task.scan:
                    return CutUp(start, list(cut_at_newlines(file, start, task.last, self._step, marks)))
                first = max(task.first, start)
                return CutUp(start, scan_segment(file, first, task.last, self._step, marks, begins=task.first == 0))
        except (OSError, LoadError):
            return None

    def marks(self) -> Marks:
        return Marks(quote=b"")

    def _spans(self, path: str, size: int, answers: list[CutUp | None]) -> Iterator[Span]:
        known = [answer for answer in answers if answer is not None]
        if not answers or len(known) < len(answers):
            # Compressed, missing or unreadable: tried again, as a whole, by the executor.
            yield Span(path, 0, max(size, 0), WHOLE)
            return
        start = known[0].start
        scans = [answer.ends for answer in known if isinstance(answer.ends, Scanned)]
        ends = join_segments(scans, start, size) if scans else ((end, False) for end in _plain(known))
        for end, broken in ends:
            yield Span(path, start, end, (LAST if end >= size else 0) | (BROKEN if broken else 0))
            start = end

    def _settle(self, map: Map[Any, Any], samples: list[Span]) -> None:
        from mpibatch.datasets.schemas import merge, settle, unpack

        found = [unpack(schema) for schema in map(self.sample, samples) if schema]
        if found:
            merged = reduce(lambda a, b: merge(a, b, self.text_wins), found)
            self._schema = settle(self._spec, self._filled(self.common(found[0], merged)))

    def common(self, first: Any, merged: Any) -> Any:
        """The columns of the input, given those of the first sample and those of all."""
        return merged

    def _filled(self, schema: Any) -> Any:
        """Columns without any value, or with text that is not UTF-8 (which then fails alone), are strings."""
        import pyarrow as pa

        return pa.schema(
            [
                pa.field(field.name, pa.string())
                if pa.types.is_null(field.type) or pa.types.is_binary(field.type)
                else field
                for field in schema
            ]
        )

    def sample(self, span: Span) -> bytes | None:
        """The schema of the first rows of a span, packed; None if they cannot be read."""
        from mpibatch.datasets.schemas import observed, pack

        try:
            data, head = self._bytes(span, SAMPLE_ALL if span.flags & WHOLE else SAMPLE)
            table = self.infer(data, head)
        except (OSError, LoadError):
            return None
        return pack(observed(table)) if table is not None and table.num_columns else None

    def freeze(self) -> bytes:
        from mpibatch.datasets.schemas import pack

        return b"" if self._schema is None else pack(self._schema)

    def thaw(self, frozen: bytes) -> None:
        from mpibatch.datasets.schemas import unpack

        self._schema = unpack(frozen) if frozen else None

    # Loading

    @property
    def schema(self) -> Any:
        """The settled schema, None before it is."""
        return self._schema

    def decode(self, payload: bytes) -> Any:
        """A slice as an Arrow table in the settled types. Raises LoadError."""
        span = self._payloads.unpack(payload)
        with Place(span):
            return self.table(span)

    def path_of(self, payload: bytes) -> str:
        return self._payloads.unpack(payload).path

    def load(self, payload: bytes) -> Frame:
        from mpibatch.datasets.schemas import to_pandas

        span = self._payloads.unpack(payload)
        with Place(span):
            table = self.table(span)
            return Frame(to_pandas(table, table.schema if self._schema is None else self._schema))

    def table(self, span: Span) -> Any:
        if span.flags & BROKEN:
            raise LoadError('a quoted field in it never ends (where quotes mean nothing, set quote: "")')
        data, head = self._bytes(span)
        return self.parse(data, head, span, self._schema)

    def _bytes(self, span: Span, limit: int = -1) -> tuple[bytes, Head]:
        """The rows of a span without header; with a limit, as many whole rows as fit."""
        if not span.flags & WHOLE:
            head = self._head_of(span.path)
            last = span.last if limit < 0 else min(span.last, span.first + limit)
            data = read_range(span.path, span.first, last)
            return (data if last == span.last else whole_rows(data, head.marks)), head
        codec = compression(span.path)
        if codec:
            data = read_compressed(span.path, codec, limit)
        else:
            size = file_size(span.path)
            data = read_range(span.path, 0, size if limit < 0 else min(size, limit))
        found = self.read_head(data, complete=True)
        if found is None:
            raise _NO_HEAD
        rows = data[found.start :]
        return (whole_rows(rows, found.marks) if len(data) == limit else rows), found

    def _head_of(self, path: str) -> Head:
        if self._last_head and self._last_head[0] == path:
            return self._last_head[1]
        look = _HEAD
        with open_file(path) as file:
            data = file.read(look)
            while (head := self.read_head(data, complete=len(data) < look)) is None:
                if look >= _HEAD_LIMIT:
                    raise _NO_HEAD
                more = file.read(look)
                look *= 2
                data += more
        self._last_head = path, head
        return head

    # Failures

    def describe(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        span = self._payloads.unpack(payload)
        place = None if span.flags & WHOLE else (span.first, span.last)
        if lost is None:
            return [FailedItem(span.path, bytes=place, count=items)]
        try:
            data, head = self._bytes(span)
            ends = [span.first, *(span.first + end for end in row_ends(data, head.marks))]
        except (OSError, LoadError):
            ends = []
        if place is None or len(ends) != items + 1:
            return [FailedItem(span.path, bytes=place, count=len(lost))]
        return [FailedItem(span.path, bytes=(ends[at], ends[at + 1])) for at in lost]

    def count(self, payload: bytes) -> int:
        span = self._payloads.unpack(payload)
        try:
            if span.last - span.first > _COUNTABLE or span.flags & BROKEN:
                return self._count_newlines(span)
            data, head = self._bytes(span)
            return len(row_ends(data, head.marks)) if data else 0
        except (OSError, LoadError):
            return UNKNOWN

    def _count_newlines(self, span: Span) -> int:
        count = 0
        with open_file(span.path) as file:
            file.seek(span.first)
            for at in range(span.first, span.last, SEGMENT):
                count += file.read(min(SEGMENT, span.last - at)).count(b"\n")
        return max(count, 1)


class Place:
    """Names file and bytes in every LoadError raised inside; an OSError becomes one."""

    def __init__(self, span: Span, unit: str = "bytes") -> None:
        self._where = f"{span.path}, {unit} {span.first} to {span.last}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, LoadError):
            raise type(error)(f"{self._where}: {error}") from error.__cause__
        if isinstance(error, OSError):
            raise LoadError(f"{self._where}: {error.strerror or error}") from error


def _size_or_unknown(path: str) -> int:
    try:
        return file_size(path)
    except OSError:
        return UNKNOWN


def _plain(answers: list[CutUp]) -> Iterator[int]:
    for answer in answers:
        if isinstance(answer.ends, list):
            yield from answer.ends
