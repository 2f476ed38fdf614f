"""Where a file of rows may be cut: after a newline that is outside quotes.

    cut_at_newlines  looks at a few kilobytes around each boundary; right if no quoted field holds a newline
    scan_segment     reads all of a segment of a file, and gives the cuts both if it begins outside and if it
                     begins inside a quoted field, so that segments may be scanned on several ranks at once
    join_segments    knows the segments before, and picks

`quoting.py` has what opens and closes quotes. A slice is at least `step` bytes long, but for the last of a file or
segment, and ends at the first row end from there. Empty lines and comments go with the row before them. In UTF-16 a
newline is two bytes, aligned to the file.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mpibatch.datasets.quoting import Delimiters, as_units, count, find, is_plain, neutral, rfind, settled

SEGMENT = 1 << 25  # bytes scanned at once: what a scan holds in memory
_WINDOW = 1 << 20  # bytes searched at once where quotes are many
_QUOTES = 64  # in a row, before they are many
_PROBE_BYTES = 1 << 12  # bytes looked at around a boundary before looking at more


@dataclass(frozen=True, slots=True)
class SegmentScan:
    """One segment: its cuts in the file, if it begins outside quotes and if inside; and where it then ends.

    inside: None where a beginning inside quotes is so unlikely that it was not looked at
    """

    outside: list[int]
    ends_inside: bool
    inside: list[int] | None
    stays_inside: bool = True


def cut_at_newlines(file: BinaryIO, first: int, last: int, step: int, delimiters: Delimiters) -> Iterator[int]:
    """Ends of slices of [first, last), the last one included."""
    position = first
    while last - position > step:
        position = _next_line(file, position + _next_target(step, delimiters), last, delimiters)
        if position >= last:
            break
        yield position
    if last > first:
        yield last


def _next_line(file: BinaryIO, start: int, last: int, delimiters: Delimiters) -> int:
    probe_bytes = _PROBE_BYTES
    while True:
        file.seek(start)
        data = file.read(min(probe_bytes, last - start))
        end = _after_newline(data, 0, delimiters)
        # A line end at the end of what was read may be followed by empty lines.
        if end >= 0 and (end < len(data) or start + end >= last):
            return start + end
        if start + len(data) >= last or len(data) < min(probe_bytes, last - start):
            return last
        probe_bytes *= 4


def scan_segment(
    file: BinaryIO, first: int, last: int, step: int, delimiters: Delimiters, *, begins: bool, inside: bool = False
) -> SegmentScan:
    """Cuts of one segment.

    begins: `first` is known to be the start of a row
    inside: look at a beginning inside quotes in any case
    """
    size = file.seek(0, 2)
    first = first if begins else _segment_start(file, first, size, delimiters)
    last = _segment_start(file, last, size, delimiters)
    before = max(first - delimiters.width, 0)
    file.seek(before)
    previous, data = file.read(first - before), file.read(max(last, first) - first)
    if len(data) != max(last, first) - first:
        raise OSError(f"the file ends at byte {first + len(data)}; is it being written?")
    target = _next_target(step, delimiters) if begins else 0
    previous = delimiters.newline if begins else previous
    plain = is_plain(data, delimiters, previous, inside=False)
    text = data if plain else neutral(data, delimiters, previous, inside=False)
    outside, odd = _row_ends(text, step, delimiters, inside=False, first_target=target)
    cuts = [first + end for end in outside]
    if begins:
        return SegmentScan(cuts, odd, [])
    if find(data, delimiters.quote, 0) < 0 and not delimiters.escape:
        return SegmentScan(cuts, odd, [], True)
    if not inside and plain and not is_plain(data, delimiters, b"", inside=True):
        return SegmentScan(cuts, odd, None)
    text = settled(data, delimiters, b"", inside=True)
    found, still = _row_ends(text, step, delimiters, inside=True, first_target=0)
    return SegmentScan(cuts, odd, [first + end for end in found], still)


def _segment_start(file: BinaryIO, at: int, size: int, delimiters: Delimiters) -> int:
    """The first place from `at` on that follows neither a quote nor an escape, whose meaning hangs on the next one.

    With comments it begins a line, since what is in a comment means nothing.
    """
    if delimiters.comment and 0 < at < size:
        return _next_line(file, at, size, delimiters)
    while 0 < at < size:
        file.seek(at - delimiters.width)
        if file.read(delimiters.width) not in (delimiters.quote, delimiters.escape):
            break
        at += delimiters.width
    return min(at, size)


def join_segments(
    segments: Iterable[SegmentScan], first: int, last: int, again: Callable[[int], SegmentScan]
) -> Iterator[tuple[int, bool]]:
    """Ends of slices of a whole file; the flag is set where the slice ends the file inside a quoted field.

    again: scans segment number n for a beginning inside quotes too
    """
    inside = False
    position = first
    for number, segment in enumerate(segments):
        scan = again(number) if inside and segment.inside is None else segment
        for end in (scan.inside or []) if inside else scan.outside:
            if position < end < last:
                yield end, False
                position = end
        inside = scan.stays_inside if inside else scan.ends_inside
    if position < last:
        yield last, inside


def row_ends(data: bytes, delimiters: Delimiters) -> list[int]:
    """The end of every row of a slice."""
    data = settled(data, delimiters, delimiters.newline, inside=False)
    ends, _ = _row_ends(data, 1, delimiters, inside=False, first_target=0)
    if not ends or ends[-1] < len(data):
        ends.append(len(data))
    return ends


def first_end(data: bytes, delimiters: Delimiters) -> int:
    """The end of the first row; -1 if it does not end here."""
    return _row_end(settled(data, delimiters, delimiters.newline, inside=False), 0, False, delimiters)[0]


def whole_rows(data: bytes, delimiters: Delimiters) -> bytes:
    """The rows of `data`, which begins with a row, without the last one if it is cut."""
    end = len(data) // delimiters.width * delimiters.width
    text = settled(data, delimiters, delimiters.newline, inside=False)
    while (end := rfind(text, delimiters.newline, end)) >= 0:
        if count(text, delimiters.quote, 0, end) % 2 == 0:
            return data[: end + delimiters.width]
    return data


def ends_inside(data: bytes, delimiters: Delimiters) -> bool:
    """Whether data that begin with a row end inside a quoted field."""
    if not delimiters.quote or find(data, delimiters.quote, 0) < 0:
        return False
    text = settled(data, delimiters, delimiters.newline, inside=False)
    return count(text, delimiters.quote, 0, len(text)) % 2 == 1


def _next_target(step: int, delimiters: Delimiters) -> int:
    """How far after a cut to begin looking for the next: at the last character within the step."""
    return max(step - delimiters.width, 0) // delimiters.width * delimiters.width


def _row_ends(
    data: bytes, step: int, delimiters: Delimiters, inside: bool, first_target: int
) -> tuple[list[int], bool]:
    """Row ends at least a step apart, the first from `first_target` on, and whether the data end inside quotes."""
    ends: list[int] = []
    counted = 0  # quotes up to here are in `inside`
    at = min(first_target, len(data))
    while True:
        inside ^= count(data, delimiters.quote, counted, at) % 2 == 1
        end, inside = _row_end(data, at, inside, delimiters)
        if end < 0:
            return ends, inside
        ends.append(end)
        counted, at = end, min(end + _next_target(step, delimiters), len(data))


def _row_end(data: bytes, at: int, inside: bool, delimiters: Delimiters) -> tuple[int, bool]:
    """The end of the row around `at`, or -1; and whether the position reached is inside quotes."""
    width = delimiters.width
    for _ in range(_QUOTES):
        # The newline is looked for first: rows are short, and the next quote may be anywhere.
        line = -1 if inside else find(data, delimiters.newline, at)
        quote = find(data, delimiters.quote, at, line if line >= 0 else None)
        if quote >= 0:
            at, inside = quote + width, not inside
        elif line >= 0:
            return _after_newline(data, line, delimiters), False
        else:
            return -1, inside
    return _row_end_among_quotes(data, at, inside, delimiters)


def _row_end_among_quotes(data: bytes, at: int, inside: bool, delimiters: Delimiters) -> tuple[int, bool]:
    """The same, window by window: where quotes are many, as they are after a guess `inside` that is wrong."""
    import numpy

    width = delimiters.width
    for first in range(at, len(data), _WINDOW):
        units = as_units(data, first, min(first + _WINDOW, len(data)), width)
        quotes = numpy.flatnonzero(units == int.from_bytes(delimiters.quote, "little"))
        lines = numpy.flatnonzero(units == int.from_bytes(delimiters.newline, "little"))
        outside = (numpy.searchsorted(quotes, lines) + inside) % 2 == 0
        if outside.any():
            return _after_newline(data, first + int(lines[outside.argmax()]) * width, delimiters), False
        inside ^= len(quotes) % 2 == 1
    return -1, inside


def _after_newline(data: bytes, at: int, delimiters: Delimiters) -> int:
    """Behind the first newline from `at` on, and the empty lines after it; -1 if there is none."""
    line = find(data, delimiters.newline, at)
    if line < 0:
        return -1
    end = line + delimiters.width
    while not delimiters.blank_rows:
        if data.startswith(delimiters.newline, end):
            end += delimiters.width
        elif data.startswith(delimiters.carriage + delimiters.newline, end):
            end += 2 * delimiters.width
        else:
            break
    return end
