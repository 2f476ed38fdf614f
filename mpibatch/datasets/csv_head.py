"""The beginning of a CSV file: its encoding, what is passed over, where its first row is, and at what its rows end.

bytes --TextCodec.of_file--> encoding --skip_rows, empty lines, comments--> first row --> names, start of the rows
"""

from dataclasses import replace

from mpibatch.config.choices import LineEnds
from mpibatch.config.schema import Input
from mpibatch.datasets.quoting import Delimiters, find
from mpibatch.datasets.row_boundaries import first_end
from mpibatch.datasets.text_codec import TextCodec
from mpibatch.datasets.text_slices import FileHeader


def find_header(data: bytes, complete: bool, spec: Input, codec: TextCodec) -> tuple[FileHeader, bytes] | None:
    """What a file that begins with `data` says before its rows, up to the first row, and this row as UTF-8.

    None if more of the file must be seen. Raises LoadError for what is no text.
    """
    encoding, start = codec.of_file(data)
    delimiters = delimiters_of(spec, encoding)
    position = _first_row(data, start, complete, spec, delimiters)
    if position is None:
        return None
    rest = data[position:]
    if spec.line_ends is LineEnds.AUTO:
        end = first_end(rest, delimiters)
        by_return = first_end(rest, replace(delimiters, newline=delimiters.carriage))
        sure = complete or end >= 0 or by_return < len(rest)  # else the next byte may be a newline
        alone = by_return >= 0 and not rest.startswith(delimiters.feed, by_return)
        if sure and alone and (end < 0 or by_return < end):
            delimiters = replace(delimiters, newline=delimiters.carriage)
    end = first_end(rest, delimiters)
    if end < 0 and not complete:
        return None
    end = len(rest) if end < 0 else end
    narrow = delimiters_of(spec, "ascii")
    if delimiters.newline == delimiters.carriage:
        narrow = replace(narrow, newline=narrow.carriage)
    header = FileHeader(position, None, encoding, delimiters, narrow, end)
    return header, codec.utf8(rest[:end], encoding, "the first row")


def delimiters_of(spec: Input, encoding: str) -> Delimiters:
    """The characters of an input as bytes of an encoding."""
    wide = encoding if encoding.startswith("utf-16") else "ascii"
    feed, carriage = "\n".encode(wide), "\r".encode(wide)
    return Delimiters(
        newline=carriage if spec.line_ends is LineEnds.CR else feed,
        feed=feed,
        carriage=carriage,
        quote=spec.quote.encode(wide),
        delimiter=spec.delimiter.encode(wide),
        escape=spec.escape.encode(wide),
        comment=spec.comment.encode(wide),
        other_ends=spec.line_ends is LineEnds.AUTO,
    )


def _first_row(data: bytes, start: int, complete: bool, spec: Input, delimiters: Delimiters) -> int | None:
    """Behind the lines that are passed over; None if more must be seen."""
    skipped = 0
    empty = (*delimiters.line_ends, delimiters.carriage + delimiters.newline)
    while start < len(data):
        if skipped >= spec.skip_rows and not data.startswith(empty, start) and not _is_comment(data, start, delimiters):
            return start
        end = _line_end(data, start, complete, delimiters)
        if end is None:
            return None
        skipped, start = skipped + 1, end
    return start if complete else None


def _is_comment(data: bytes, at: int, delimiters: Delimiters) -> bool:
    return bool(delimiters.comment) and data.startswith(delimiters.comment, at)


def _line_end(data: bytes, at: int, complete: bool, delimiters: Delimiters) -> int | None:
    """Behind the line at `at`, whatever is quoted in it."""
    found = [place for mark in delimiters.line_ends if (place := find(data, mark, at)) >= 0]
    if not found:
        return len(data) if complete else None
    end = min(found) + delimiters.width
    if data[end - delimiters.width : end] == delimiters.carriage and delimiters.other_ends:
        if end == len(data) and not complete:
            return None
        end += delimiters.width if data.startswith(delimiters.feed, end) else 0
    return end


def distinct(names: list[str]) -> tuple[str, ...]:
    """Names as pandas has them: a repeated one gets the first number that makes it new."""
    seen: set[str] = set()
    found = []
    for name in names:
        new, count = name, 0
        while new in seen:
            count += 1
            new = f"{name}.{count}"
        seen.add(new)
        found.append(new)
    return tuple(found)
