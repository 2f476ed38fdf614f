"""What all table formats share: the mini-batch in memory, payloads, and the names of failed rows."""

import os
import struct
from dataclasses import dataclass
from typing import Any

from mpibatch.config.schema import Input
from mpibatch.datasets import file_identity
from mpibatch.datasets.base import FailedItem, FileIdentity, LoadError
from mpibatch.datasets.path_codec import PathCodec

_SPAN_HEADER = struct.Struct("<qqB")
UNREADABLE = 1  # flag of a span: its file could not be read while planning


@dataclass(frozen=True, slots=True)
class Span:
    """A range of one file: what a payload of a table format says.

    first, last: [first, last) in bytes or rows
    flags:       for the format that wrote it
    planned:     what the planner saw at `path`; None is not compared
    """

    path: str
    first: int
    last: int
    flags: int = 0
    planned: FileIdentity | None = None


class FrameBatch:
    """A mini-batch of rows: a DataFrame with index 0..n-1."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def items(self) -> int:
        return len(self.value)

    def slice(self, first: int, last: int) -> "FrameBatch":
        return FrameBatch(self.value.iloc[first:last].reset_index(drop=True))


class SpanCodec:
    """Spans as bytes."""

    def __init__(self, spec: Input) -> None:
        self._paths = PathCodec(spec)
        self._accepts_changes = False

    def accept_changes(self) -> None:
        """Spans unpacked from here on are not compared with the plan."""
        self._accepts_changes = True

    def pack(self, span: Span) -> bytes:
        where = self._paths.pack([os.fsencode(span.path)], file_identity.pack(span.planned))
        return _SPAN_HEADER.pack(span.first, span.last, span.flags) + where

    def unpack(self, payload: bytes) -> Span:
        first, last, flags = _SPAN_HEADER.unpack_from(payload)
        where = payload[_SPAN_HEADER.size :]
        (path,) = self._paths.unpack(where)
        (planned,) = self._paths.identities(where)
        return Span(path, first, last, flags, None if self._accepts_changes else planned)

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        """The file of a span, with what the planner saw there."""
        span = self.unpack(payload)
        return [(span.path, span.planned)]


class LoadErrorContext:
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


class SpanDataset:
    """A dataset whose payloads are spans: which file is meant."""

    _span_codec: SpanCodec

    def path_of(self, payload: bytes) -> str:
        return self._span_codec.unpack(payload).path

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        return self._span_codec.planned_files(payload)

    def accept_changes(self) -> None:
        self._span_codec.accept_changes()


class NumberedRows(SpanDataset):
    """One whose files know how many rows they have, and whose last file stays open."""

    _open: Any

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        span = self._span_codec.unpack(payload)
        if span.flags & UNREADABLE and lost is None:
            return [FailedItem(span.path, count=items)]
        return failed_row_ranges(span.path, span.first, lost, items)

    locate_items = failed_items


class EmptyFiles:
    """The files of an input that hold no rows though they are not empty, for a warning."""

    def __init__(self, spec: Input) -> None:
        self._name = spec.name
        self._files = 0
        self._paths: list[str] = []

    def seen(self, path: str, has_rows: bool, has_bytes: bool = True) -> None:
        """One more file."""
        self._files += 1
        if has_bytes and not has_rows:
            self.add(path)

    def add(self, path: str) -> None:
        """A file that was taken for one with rows."""
        self._paths.append(path)

    @property
    def warnings(self) -> tuple[str, ...]:
        if not self._paths:
            return ()
        count = f"{len(self._paths)} of {self._files} files"
        return (f"input {self._name!r}: {count} yield no rows though they are not empty, such as {self._paths[0]}",)


def failed_row_ranges(path: str, first: int, lost: list[int] | None, items: int) -> list[FailedItem]:
    """Failed items of a slice whose rows are numbered: rows next to each other are named together."""
    if lost is None:
        return [FailedItem(path, rows=(first, first + items) if items >= 0 else None, count=items)]
    runs: list[list[int]] = []
    for position in sorted(lost):
        if runs and runs[-1][1] == position:
            runs[-1][1] = position + 1
        else:
            runs.append([position, position + 1])
    return [FailedItem(path, (first + begin, first + end), count=end - begin) for begin, end in runs]


class Sampler:
    """Keeps at most `limit` things of a stream of unknown length, spread evenly over it."""

    def __init__(self, limit: int) -> None:
        self.kept: list[Any] = []
        self._limit = limit
        self._stride = 1
        self._seen = 0

    def add(self, thing: Any) -> None:
        if self._seen % self._stride == 0:
            self.kept.append(thing)
            if len(self.kept) > self._limit:
                self.kept = self.kept[::2]
                self._stride *= 2
        self._seen += 1
