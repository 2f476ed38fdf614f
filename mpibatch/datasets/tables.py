"""What all table formats share: the mini-batch in memory, payloads, and the names of failed rows."""

import struct
from dataclasses import dataclass
from typing import Any

from mpibatch.config.schema import Input
from mpibatch.datasets.base import FailedItem
from mpibatch.datasets.paths import root_of
from mpibatch.datasets.sources import is_url

_HEAD = struct.Struct("<qqB")


@dataclass(frozen=True, slots=True)
class Span:
    """A range of one file: what a payload of a table format says.

    first, last: [first, last) in bytes or rows
    flags:       for the format that wrote it
    """

    path: str
    first: int
    last: int
    flags: int = 0


class Frame:
    """A mini-batch of rows: a DataFrame with index 0..n-1."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def items(self) -> int:
        return len(self.value)

    def part(self, first: int, last: int) -> "Frame":
        return Frame(self.value.iloc[first:last].reset_index(drop=True))


class Payloads:
    """Spans as bytes. Paths are relative to the input's root where they are below it; URLs stay whole."""

    def __init__(self, spec: Input) -> None:
        self._prefix = root_of(spec).rstrip("/") + "/"

    def pack(self, span: Span) -> bytes:
        path = span.path.removeprefix(self._prefix) if not is_url(span.path) else span.path
        return _HEAD.pack(span.first, span.last, span.flags) + path.encode("utf-8", "surrogateescape")

    def unpack(self, payload: bytes) -> Span:
        first, last, flags = _HEAD.unpack_from(payload)
        path = payload[_HEAD.size :].decode("utf-8", "surrogateescape")
        if not path.startswith("/") and not is_url(path):
            path = self._prefix + path
        return Span(path, first, last, flags)


def lost_rows(path: str, first: int, lost: list[int] | None, items: int) -> list[FailedItem]:
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
