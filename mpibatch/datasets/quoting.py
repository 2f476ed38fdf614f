"""What quotes, escapes and comments make of the bytes of a text table, as the reader has it.

A quote opens a field where it is the first character of it: any other outside quotes is text. Where there is such a
one, an escape or a comment, `settled` puts letters in place of what means nothing, and line ends in place of comments;
then inside is after an odd number of quotes (RFC 4180), which is quick to count.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The bytes that structure a file; all of one width, 1 or 2.

    quote, escape, comment: b"" where nothing is quoted, escaped, or left out
    newline: where files are cut: `feed` or `carriage`
    other_ends: rows end at the other of these, too
    blank_rows: an empty line is a row
    """

    newline: bytes = b"\n"
    feed: bytes = b"\n"
    carriage: bytes = b"\r"
    quote: bytes = b'"'
    delimiter: bytes = b","
    escape: bytes = b""
    comment: bytes = b""
    other_ends: bool = True
    blank_rows: bool = False

    @property
    def width(self) -> int:
        return len(self.newline)

    @property
    def line_ends(self) -> tuple[bytes, ...]:
        """The characters at which rows end."""
        return (self.feed, self.carriage) if self.other_ends else (self.newline,)


def settled(data: bytes, delimiters: Delimiters, before: bytes, inside: bool) -> bytes:
    """The data, of the same length, in which inside quotes is after an odd number of them.

    before: the character before it, `newline` where it begins a row; inside: it begins within quotes
    """
    if is_plain(data, delimiters, before, inside):
        return data
    return neutral(data, delimiters, before, inside)


def is_plain(data: bytes, delimiters: Delimiters, before: bytes, inside: bool) -> bool:
    """Whether nothing is escaped or commented, and every quote that would open a field is its first character."""
    for mark in (delimiters.escape, delimiters.comment):
        if mark and find(data, mark, 0) >= 0:
            return False
    if not delimiters.quote or find(data, delimiters.quote, 0) < 0:
        return True

    import numpy

    units = as_units(data, 0, len(data), delimiters.width)
    starts = (delimiters.delimiter, *delimiters.line_ends)
    opening = numpy.flatnonzero(units == _number(delimiters.quote))[1 if inside else 0 :: 2]
    if len(opening) and opening[0] == 0:
        if before not in starts:
            return False
        opening = opening[1:]
    ahead = units[opening - 1]
    known = ahead == _number(delimiters.quote)
    for mark in starts:
        known |= ahead == _number(mark)
    return bool(known.all())


def neutral(data: bytes, delimiters: Delimiters, before: bytes, inside: bool) -> bytes:
    """The data with "x" for quotes that are text, for what is escaped, and for what is inside quotes; and with line
    ends for comments."""
    if delimiters.width == 1:
        return _neutral_bytes(data, delimiters, before, inside)

    import numpy

    units = as_units(data, 0, len(data), 2)
    narrow = numpy.full(len(units), ord("x"), numpy.uint8)
    single, lead = _narrow(delimiters), b"x"
    for name in ("feed", "carriage", "quote", "delimiter", "escape", "comment"):
        if mark := getattr(delimiters, name):
            narrow[units == _number(mark)] = getattr(single, name)[0]
            lead = getattr(single, name) if mark == before else lead
    changed = numpy.frombuffer(_neutral_bytes(narrow.tobytes(), single, lead, inside), numpy.uint8)
    wide = numpy.array(units)
    wide[changed != narrow] = ord("x") * 256 + ord("x")
    wide[(changed != narrow) & (changed == single.newline[0])] = _number(delimiters.newline)
    return bytes(wide.tobytes()) + data[len(units) * 2 :]


def _narrow(delimiters: Delimiters) -> Delimiters:
    """The same of one byte each, whatever the characters are."""
    return Delimiters(
        newline=b"\n" if delimiters.newline == delimiters.feed else b"\r",
        quote=b'"' if delimiters.quote else b"",
        escape=b"\\" if delimiters.escape else b"",
        comment=b"#" if delimiters.comment else b"",
        other_ends=delimiters.other_ends,
    )


def _neutral_bytes(data: bytes, delimiters: Delimiters, before: bytes, inside: bool) -> bytes:
    pattern, rest = _tokens(delimiters)
    head = b""
    if inside:
        match = rest.match(data)
        assert match is not None
        body, closing = match.groups()
        head = b"x" * len(body) + closing
        # What follows a closing quote is no start of a field.
        data, before = data[match.end() :], b"x"

    def settle(match: re.Match[bytes]) -> bytes:
        if match["comment"] is not None:
            return delimiters.newline * len(match[0])
        body, closing = match["body"], match["closing"]
        if body is None:
            return b"x" * len(match[0])
        return delimiters.quote + b"x" * (len(body) - 1) + closing

    # The lookbehinds of the pattern need a character before the data.
    lead = before or b"x"
    return head + pattern.sub(settle, lead + data)[len(lead) :]


def without_comments(data: bytes, delimiters: Delimiters) -> bytes:
    """Rows alone, of data that begin with one, in characters of one byte."""
    if not delimiters.comment or delimiters.comment not in data:
        return data
    pattern, _ = _tokens(delimiters)
    lead = delimiters.newline
    return pattern.sub(lambda match: match[0] if match["comment"] is None else b"", lead + data)[len(lead) :]


@cache
def _tokens(delimiters: Delimiters) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """A comment, a quoted field, or what means nothing outside of one; and the rest of a quoted field."""
    never = b"(?!)"
    ends = b"".join(delimiters.line_ends)
    quote, escape = re.escape(delimiters.quote), re.escape(delimiters.escape)
    escaped = escape + b"." if escape else never
    comment = b"(?<=[" + ends + b"])" + re.escape(delimiters.comment) + b"[^" + ends + b"]*+"
    comment = b"(?P<comment>" + (comment if delimiters.comment else never) + b")"
    if not quote:
        return (
            re.compile(comment + b"|(?P<body>(?!))(?P<closing>)|" + escaped, re.DOTALL),
            re.compile(b"()()"),
        )
    inner = b"(?:[^" + quote + escape + b"]++|" + quote * 2 + b"|" + escaped + b")*+"
    starts = b"(?<=[" + re.escape(delimiters.delimiter) + ends + b"])"
    field = starts + b"(?P<body>" + quote + inner + b")(?P<closing>" + quote + b"?)"
    return (
        re.compile(b"|".join([comment, field, escaped, quote]), re.DOTALL),
        re.compile(b"(" + inner + b")(" + quote + b"?)", re.DOTALL),
    )


def find(data: bytes, mark: bytes, at: int, last: int | None = None) -> int:
    """The first aligned `mark` within [at, last), or -1."""
    if not mark:
        return -1
    found = data.find(mark, at, last)
    while found >= 0 and found % len(mark):
        found = data.find(mark, found + 1, last)
    return found


def rfind(data: bytes, mark: bytes, end: int) -> int:
    """The last aligned `mark` that begins before `end`, or -1."""
    found = data.rfind(mark, 0, end)
    while found >= 0 and found % len(mark):
        found = data.rfind(mark, 0, found + len(mark) - 1)
    return found


def count(data: bytes, mark: bytes, first: int, last: int) -> int:
    if not mark or last <= first:
        return 0
    if len(mark) == 1 and last - first < 4096:
        return data.count(mark, first, last)

    import numpy

    values = as_units(data, first, last, len(mark))
    return int(numpy.count_nonzero(values == int.from_bytes(mark, "little")))


def as_units(data: bytes, first: int, last: int, width: int) -> Any:
    """[first, last) as an array of numbers of `width` bytes each."""
    import numpy

    return numpy.frombuffer(data, numpy.dtype(f"<u{width}"), (last - first) // width, first)


def _number(mark: bytes) -> int:
    return int.from_bytes(mark, "little")
