"""Files of text, cut by bytes at row ends: what CSV, JSON lines and plain lines share.

    plan:   files --cut (map)--> spans of whole rows          payload: path, [first, last) bytes, flags
    load:   bytes of a span, and the header of its file

A file that cannot be looked at while planning is one slice of its own, which then fails alone. One that is compressed,
or in an encoding without cuts, is one slice too.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets.base import FailedItem, FileIdentity, LoadError
from mpibatch.datasets.file_identity import identity_of
from mpibatch.datasets.file_io import (
    compression,
    data_files,
    file_size,
    open_file,
    read_compressed,
    read_range,
)
from mpibatch.datasets.quoting import Delimiters
from mpibatch.datasets.row_boundaries import (
    SEGMENT,
    SegmentScan,
    cut_at_newlines,
    join_segments,
    row_ends,
    scan_segment,
    whole_rows,
)
from mpibatch.datasets.table_base import EmptyFiles, Span, SpanCodec, SpanDataset
from mpibatch.errors import InputError
from mpibatch.types import UNKNOWN, Map, Split

DEFAULT_SIZE = 1 << 20  # bytes a mini-batch

LAST, WHOLE, BROKEN = 1, 2, 4  # flags of a span: ends its file; is all of it, header too; ends inside quotes
_COUNTABLE = 1 << 26  # bytes held in memory to count the rows of a slice that failed
_HEADER_BYTES = 1 << 16  # bytes read for the header, to begin with
_MAX_HEADER_BYTES = 1 << 24

_NO_HEADER = LoadError(f"no header ends within {_MAX_HEADER_BYTES >> 20} MB; are a quote or the line ends wrong?")


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What the beginning of a file tells.

    start:  the first byte of the first row
    names:  column names, None where rows carry their own
    codec:  Python's name of the encoding, without a byte order mark
    delimiters: as the file has them
    narrow: the same in UTF-8
    length: bytes of the row at `start`, for those who take it for the names
    """

    start: int
    names: tuple[str, ...] | None
    codec: str
    delimiters: Delimiters
    narrow: Delimiters = field(default_factory=Delimiters)
    length: int = 0

    def with_names(self, names: tuple[str, ...], passed: bool = False) -> "FileHeader":
        """passed: rows begin behind the one that has the names."""
        return replace(self, names=names, start=self.start + (self.length if passed else 0))


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file as it was when planning began; size UNKNOWN if nobody tells."""

    path: str
    size: int
    identity: FileIdentity | None


@dataclass(frozen=True, slots=True)
class CutTask:
    """What one call of `parallel_map` cuts: a whole file at newlines, or one segment of a file by scanning."""

    path: str
    first: int
    last: int
    scan: bool


@dataclass(frozen=True, slots=True)
class FileCuts:
    """The answer: where the rows begin (told by the first task of a file), and the cuts."""

    start: int
    ends: list[int] | SegmentScan


class TextSlices(SpanDataset, ABC):
    """One input of a text format."""

    reads_data = True

    def __init__(self, spec: Input, size: Size | None) -> None:
        if size and size.unit is Unit.ITEMS:
            raise InputError(f"input {spec.name!r}: mini_batch_size of this type is in bytes, such as 1MB, or 'N rows'")
        self._spec = spec
        self._rows = size.value if size and size.unit is Unit.ROWS else None
        self._step = 1 if self._rows else size.value if size else DEFAULT_SIZE
        self._span_codec = SpanCodec(spec)
        self._empty = EmptyFiles(spec)
        self._notes: tuple[str, ...] = ()
        self._last_header: tuple[str, FileHeader] | None = None

    @property
    def warnings(self) -> Sequence[str]:
        return (*self._notes, *self._empty.warnings)

    @abstractmethod
    def read_header(self, data: bytes, complete: bool) -> FileHeader | None:
        """The head of a file that begins with `data`; None if more of it must be seen. Raises LoadError."""

    @abstractmethod
    def needs_scan(self, total: int) -> bool:
        """Whether cuts must be found by scanning, in files of `total` bytes."""

    @abstractmethod
    def splittable(self) -> bool:
        """Whether a newline is the same bytes wherever it occurs, and nothing else is."""

    # Planning

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        for _, spans in self.cut_files(self.list_files(), parallel_map):
            yield from (Split(self._span_codec.pack(span)) for span in spans)

    def list_files(self) -> list[TextFile]:
        """All files, in order; notes those that cannot be split."""
        files = [TextFile(path, *_seen(path)) for path in data_files(self._spec)]
        whole = [file.path for file in files if compression(file.path) or not self.splittable()]
        if whole:
            self._notes += (
                f"input {self._spec.name!r}: {len(whole)} of {len(files)} files cannot be split, being compressed or in"
                f" an encoding without cuts; each is one mini-batch, such as {whole[0]}",
            )
        return files

    def cut_files(self, files: list[TextFile], parallel_map: Map[Any, Any]) -> Iterator[tuple[TextFile, list[Span]]]:
        """Each file with its slices; none where it has no rows."""
        scan = self.needs_scan(sum(file.size for file in files))
        tasks = [self._tasks(file.path, file.size, scan) for file in files]
        answers = parallel_map(self.cut, (task for group in tasks for task in group))
        for file, group in zip(files, tasks, strict=True):
            cuts = self._spans(file.path, file.size, group, list(islice(answers, len(group))))
            spans = [replace(span, planned=file.identity) for span in cuts]
            self._empty.seen(file.path, has_rows=bool(spans), has_bytes=file.size > 0)
            yield file, spans

    def _tasks(self, path: str, size: int, scan: bool) -> list[CutTask]:
        if size < 0 or compression(path) or not self.splittable():
            return []
        if not (scan or self._rows) or size <= self._step:
            return [CutTask(path, 0, size, False)]
        return [CutTask(path, at, min(at + SEGMENT, size), True) for at in range(0, size, SEGMENT)]

    def cut(self, task: CutTask) -> FileCuts | None:
        """The cuts of a file or of a segment of it; None if it cannot be read."""
        try:
            header = self._header_of(task.path)
            start, delimiters = (header.start if task.first == 0 else 0), header.delimiters
            with open_file(task.path) as file:
                if not task.scan:
                    return FileCuts(start, list(cut_at_newlines(file, start, task.last, self._step, delimiters)))
                first = max(task.first, start)
                return FileCuts(
                    start, scan_segment(file, first, task.last, self._step, delimiters, begins=task.first == 0)
                )
        except (OSError, LoadError):
            return None

    def _scan_again(self, task: CutTask) -> SegmentScan:
        delimiters = self._header_of(task.path).delimiters
        with open_file(task.path) as file:
            return scan_segment(file, task.first, task.last, self._step, delimiters, begins=False, inside=True)

    def _spans(self, path: str, size: int, tasks: list[CutTask], answers: list[FileCuts | None]) -> Iterator[Span]:
        known = [answer for answer in answers if answer is not None]
        if not answers or len(known) < len(answers):
            # Compressed, missing or unreadable: tried again, as a whole, by the executor.
            yield Span(path, 0, max(size, 0), WHOLE)
            return
        start = known[0].start
        scans = [answer.ends for answer in known if isinstance(answer.ends, SegmentScan)]
        ends = (
            join_segments(scans, start, size, lambda number: self._scan_again(tasks[number]))
            if scans
            else ((end, False) for end in _newline_cuts(known))
        )
        for end, broken in ends if self._rows is None else _every(ends, self._rows, size):
            yield Span(path, start, end, (LAST if end >= size else 0) | (BROKEN if broken else 0))
            start = end

    # Loading

    def _bytes(self, span: Span, limit: int = -1) -> tuple[bytes, FileHeader]:
        """The rows of a span without header; with a limit, as many whole rows as fit."""
        if not span.flags & WHOLE:
            header = self._header_of(span.path)
            last = span.last if limit < 0 else min(span.last, span.first + limit)
            data = read_range(span.path, span.first, last, span.planned)
            return (data if last == span.last else whole_rows(data, header.delimiters)), header
        codec = compression(span.path)
        if codec:
            data = read_compressed(span.path, codec, limit, span.planned)
        else:
            size = file_size(span.path)
            data = read_range(span.path, 0, size if limit < 0 else min(size, limit), span.planned)
        found = self.read_header(data, complete=True)
        if found is None:
            raise _NO_HEADER
        rows = data[found.start :]
        return (whole_rows(rows, found.delimiters) if len(data) == limit else rows), found

    def _header_of(self, path: str) -> FileHeader:
        if self._last_header and self._last_header[0] == path:
            return self._last_header[1]
        size = _HEADER_BYTES
        with open_file(path) as file:
            data = file.read(size)
            while (header := self.read_header(data, complete=len(data) < size)) is None:
                if size >= _MAX_HEADER_BYTES:
                    raise _NO_HEADER
                more = file.read(size)
                size *= 2
                data += more
        self._last_header = path, header
        return header

    # Failures

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        span = self._span_codec.unpack(payload)
        byte_range = None if span.flags & WHOLE else (span.first, span.last)
        return [FailedItem(span.path, bytes=byte_range, count=items if lost is None else len(lost))]

    def locate_items(self, payload: bytes, lost: list[int], items: int) -> list[FailedItem]:
        span = self._span_codec.unpack(payload)
        try:
            data, header = self._bytes(span)
            ends = [span.first, *(span.first + end for end in row_ends(data, header.delimiters))]
        except (OSError, LoadError):
            ends = []
        if span.flags & WHOLE or len(ends) != items + 1:
            return self.failed_items(payload, lost, items)
        return [FailedItem(span.path, bytes=(ends[at], ends[at + 1])) for at in lost]

    def count_items(self, payload: bytes) -> int:
        span = replace(self._span_codec.unpack(payload), planned=None)  # of a changed file the rows that are there now
        try:
            if span.last - span.first > _COUNTABLE or span.flags & BROKEN:
                return self._count_newlines(span)
            data, header = self._bytes(span)
            return len(row_ends(data, header.delimiters)) if data else 0
        except (OSError, LoadError):
            return UNKNOWN

    def _count_newlines(self, span: Span) -> int:
        count = 0
        with open_file(span.path) as file:
            file.seek(span.first)
            for at in range(span.first, span.last, SEGMENT):
                count += file.read(min(SEGMENT, span.last - at)).count(b"\n")
        return max(count, 1)


def _seen(path: str) -> tuple[int, FileIdentity | None]:
    """A file's size, UNKNOWN if nobody tells, and its identity, of which the size is a part where there is one."""
    if identity := identity_of(path):
        return identity.size, identity
    try:
        return file_size(path), None
    except OSError:
        return UNKNOWN, None


def _every(ends: Iterable[tuple[int, bool]], rows: int, last: int) -> Iterator[tuple[int, bool]]:
    """Every `rows`th of the ends of rows, and the last one."""
    for number, (end, broken) in enumerate(ends, 1):
        if number % rows == 0 or end >= last:
            yield end, broken


def _newline_cuts(answers: list[FileCuts]) -> Iterator[int]:
    for answer in answers:
        if isinstance(answer.ends, list):
            yield from answer.ends
