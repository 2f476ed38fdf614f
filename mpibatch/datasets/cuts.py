"""Where a file of rows may be cut: after a newline that is outside quotes.

    cut_at_newlines  looks at a few kilobytes around each boundary; right if no quoted field holds a newline
    scan_segment     reads all of a segment of a file, and gives the cuts both if it begins outside and if it
                     begins inside a quoted field, so that segments may be scanned on several ranks at once
    join_segments    knows the segments before, and picks (RFC 4180: inside is after an odd number of quotes)

A slice is at least `step` bytes long, but for the last of a file or segment, and ends at the first row end
from there. Empty lines go with the row before them. In UTF-16 a newline is two bytes, aligned to the file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

SEGMENT = 1 << 25  # bytes scanned at once: what a scan holds in memory
_WINDOW = 1 << 20  # bytes searched at once where quotes are many
_QUOTES = 64  # in a row, before they are many
_LOOK = 1 << 12  # bytes looked at around a boundary before looking at more


@dataclass(frozen=True, slots=True)
class Marks:
    """The bytes that structure a file; all of one width, 1 or 2. `quote` is b"" where nothing is quoted."""

    newline: bytes = b"\n"
    carriage: bytes = b"\r"
    quote: bytes = b'"'

    @property
    def width(self) -> int:
        return len(self.newline)


@dataclass(frozen=True, slots=True)
class Scanned:
    """One segment: its cuts in the file, if it begins outside quotes and if inside; and if quotes are odd."""

    outside: list[int]
    inside: list[int]
    odd: bool


def cut_at_newlines(file: BinaryIO, first: int, last: int, step: int, marks: Marks) -> Iterator[int]:
    """Ends of slices of [first, last), the last one included."""
    position = first
    while last - position > step:
        position = _next_line(file, position + _reach(step, marks), last, marks)
        if position >= last:
            break
        yield position
    if last > first:
        yield last


def _next_line(file: BinaryIO, start: int, last: int, marks: Marks) -> int:
    look = _LOOK
    while True:
        file.seek(start)
        data = file.read(min(look, last - start))
        end = _after_newline(data, 0, marks)
        # A line end at the end of what was read may be followed by empty lines.
        if end >= 0 and (end < len(data) or start + end >= last):
            return start + end
        if start + len(data) >= last or len(data) < min(look, last - start):
            return last
        look *= 4


def scan_segment(file: BinaryIO, first: int, last: int, step: int, marks: Marks, *, begins: bool) -> Scanned:
    """Cuts of one segment. begins: `first` is known to be the start of a row."""
    file.seek(first)
    data = file.read(last - first)
    if len(data) != last - first:
        raise OSError(f"the file ends at byte {first + len(data)}; is it being written?")
    outside, odd = _chain(data, step, marks, inside=False, reach=_reach(step, marks) if begins else 0)
    inside: list[int] = []
    if not begins and _find(data, marks.quote, 0) >= 0:
        inside, _ = _chain(data, step, marks, inside=True, reach=0)
    return Scanned([first + end for end in outside], [first + end for end in inside], odd)


def join_segments(segments: Iterable[Scanned], first: int, last: int) -> Iterator[tuple[int, bool]]:
    """Ends of slices of a whole file; the flag is set where the slice ends the file inside a quoted field."""
    inside = False
    position = first
    for segment in segments:
        for end in segment.inside if inside else segment.outside:
            if end < last:
                yield end, False
                position = end
        inside ^= segment.odd
    if position < last:
        yield last, inside


def row_ends(data: bytes, marks: Marks) -> list[int]:
    """The end of every row of a slice."""
    ends, _ = _chain(data, 1, marks, inside=False, reach=0)
    if not ends or ends[-1] < len(data):
        ends.append(len(data))
    return ends


def first_end(data: bytes, marks: Marks) -> int:
    """The end of the first row; -1 if it does not end here."""
    return _row_end(data, 0, False, marks)[0]


def whole_rows(data: bytes, marks: Marks) -> bytes:
    """The rows of `data`, which begins with a row, without the last one if it is cut."""
    end = len(data) // marks.width * marks.width
    while (end := _rfind(data, marks.newline, end)) >= 0:
        if _count(data, marks.quote, 0, end) % 2 == 0:
            return data[: end + marks.width]
    return data


def odd_quotes(data: bytes, marks: Marks) -> bool:
    return bool(marks.quote) and _count(data, marks.quote, 0, len(data)) % 2 == 1


def _reach(step: int, marks: Marks) -> int:
    """How far after a cut to begin looking for the next: at the last character within the step."""
    return max(step - marks.width, 0) // marks.width * marks.width


def _chain(data: bytes, step: int, marks: Marks, inside: bool, reach: int) -> tuple[list[int], bool]:
    """Row ends at least a step apart, the first from `reach` on, and whether the data end inside quotes."""
    ends: list[int] = []
    counted = 0  # quotes up to here are in `inside`
    at = min(reach, len(data))
    while True:
        inside ^= _count(data, marks.quote, counted, at) % 2 == 1
        end, inside = _row_end(data, at, inside, marks)
        if end < 0:
            return ends, inside
        ends.append(end)
        counted, at = end, min(end + _reach(step, marks), len(data))


def _row_end(data: bytes, at: int, inside: bool, marks: Marks) -> tuple[int, bool]:
    """The end of the row around `at`, or -1; and whether the position reached is inside quotes."""
    width = marks.width
    for _ in range(_QUOTES):
        # The newline is looked for first: rows are short, and the next quote may be anywhere.
        line = -1 if inside else _find(data, marks.newline, at)
        quote = _find(data, marks.quote, at, line if line >= 0 else None)
        if quote >= 0:
            at, inside = quote + width, not inside
        elif line >= 0:
            return _after_newline(data, line, marks), False
        else:
            return -1, inside
    return _row_end_among_quotes(data, at, inside, marks)


def _row_end_among_quotes(data: bytes, at: int, inside: bool, marks: Marks) -> tuple[int, bool]:
    """The same, window by window: where quotes are many, as they are after a guess `inside` that is wrong."""
    import numpy

    width = marks.width
    for first in range(at, len(data), _WINDOW):
        units = _units(data, first, min(first + _WINDOW, len(data)), width)
        quotes = numpy.flatnonzero(units == int.from_bytes(marks.quote, "little"))
        lines = numpy.flatnonzero(units == int.from_bytes(marks.newline, "little"))
        outside = (numpy.searchsorted(quotes, lines) + inside) % 2 == 0
        if outside.any():
            return _after_newline(data, first + int(lines[outside.argmax()]) * width, marks), False
        inside ^= len(quotes) % 2 == 1
    return -1, inside


def _after_newline(data: bytes, at: int, marks: Marks) -> int:
    """Behind the first newline from `at` on, and the empty lines after it; -1 if there is none."""
    line = _find(data, marks.newline, at)
    if line < 0:
        return -1
    end = line + marks.width
    while True:
        if data.startswith(marks.newline, end):
            end += marks.width
        elif data.startswith(marks.carriage + marks.newline, end):
            end += 2 * marks.width
        else:
            return end


def _find(data: bytes, mark: bytes, at: int, last: int | None = None) -> int:
    """The first aligned `mark` within [at, last), or -1."""
    if not mark:
        return -1
    found = data.find(mark, at, last)
    while found >= 0 and found % len(mark):
        found = data.find(mark, found + 1, last)
    return found


def _rfind(data: bytes, mark: bytes, end: int) -> int:
    """The last aligned `mark` that begins before `end`, or -1."""
    found = data.rfind(mark, 0, end)
    while found >= 0 and found % len(mark):
        found = data.rfind(mark, 0, found + len(mark) - 1)
    return found


def _count(data: bytes, mark: bytes, first: int, last: int) -> int:
    if not mark or last <= first:
        return 0
    if len(mark) == 1 and last - first < 4096:
        return data.count(mark, first, last)

    import numpy

    values = _units(data, first, last, len(mark))
    return int(numpy.count_nonzero(values == int.from_bytes(mark, "little")))


def _units(data: bytes, first: int, last: int, width: int) -> Any:
    """[first, last) as an array of numbers of `width` bytes each."""
    import numpy

    return numpy.frombuffer(data, numpy.dtype(f"<u{width}"), (last - first) // width, first)
