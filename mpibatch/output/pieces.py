"""Rows as UTF-8 a piece at a time: large rows are there as the script returned them and as bytes, and not in between.

rows --join--> text of some of them --encode--> BytesIO, whose value is no copy
"""

from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import islice

from mpibatch.large import LARGE_BYTES

PIECE_LINES = 32
PIECE_CHARACTERS = 1 << 20


def utf8(text: str) -> bytes:
    """What UTF-8 cannot hold as escapes."""
    return text.encode("utf-8", "backslashreplace")


def joined(lines: Iterable[str]) -> tuple[int, bytes]:
    """How many lines there are, and all of them; each has its end."""
    iterator = iter(lines)
    piece = list(islice(iterator, PIECE_LINES))
    data, count = utf8("".join(piece)), len(piece)
    if count < PIECE_LINES:
        return count, data
    sink = BytesIO()
    sink.write(data)
    while piece := list(islice(iterator, PIECE_LINES)):
        count += len(piece)
        sink.write(utf8("".join(piece)))
    return count, sink.getvalue()


def text_of(rows: Sequence[str]) -> str | None:
    """The rows with a newline between two; None where that would be a large copy.

    Judged by the first row, and then for certain: to count all first costs small rows as much as to join them.
    """
    if len(rows[0]) * len(rows) > LARGE_BYTES:
        return None
    text = "\n".join(rows)
    return text if len(text) <= LARGE_BYTES else None


def terminated(rows: Sequence[str]) -> bytes:
    """Large rows, with a newline behind each."""
    sink, step = BytesIO(), max(1, PIECE_CHARACTERS * len(rows) // max(1, sum(map(len, rows))))
    for first in range(0, len(rows), step):
        text = "\n".join(rows[first : first + step])
        for start in range(0, len(text), PIECE_CHARACTERS):
            sink.write(utf8(text[start : start + PIECE_CHARACTERS]))
        sink.write(b"\n")
    return sink.getvalue()
