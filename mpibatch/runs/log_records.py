"""Records of a results log: how they are framed, written and read back.

    file   = MAGIC, record, record, ...
    record = HEADER {type, count, length of the body, crc32 of all but itself}, body
    body   = RESULTS: `count` ATTEMPT records, then each one's row bytes and failure bytes
             SCHEMA:  the schema's bytes; `count` is its id
             CHECKPOINT: how far assembly has come (recovery.Checkpoint)
             REOPENED: mini-batches, 8 bytes each, that are to be run again whatever earlier records say
             GRANTED: grants (in_flight.GRANT_DTYPE), before they are sent
             LOST:    `count` is a rank that was lost
             REJECTED: mini-batches, 8 bytes each, whose rows did not fit the output's schema
             ENDED:   the incarnation ends in order, and nothing is in flight any more

What a crash cuts in two is noticed by length or checksum on opening, and everything from the first bad record on
counts as never written. Nothing is ever overwritten.
"""

import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from mpibatch.errors import RunDirectoryError
from mpibatch.large import RowData

MAGIC = b"mpibatch results log 3\n"
OTHER_VERSION = re.compile(rb"mpibatch results log \d+\n")
HEADER = struct.Struct("<4sBxxxIQI")  # mark, type, count, length, crc32
MARK = b"mbr1"


class RecordType(IntEnum):
    RESULTS = 1
    SCHEMA = 2
    CHECKPOINT = 3
    REOPENED = 4
    GRANTED = 5
    LOST = 6
    ENDED = 7
    REJECTED = 8


KNOWN = frozenset(RecordType)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record as read back; `offset` is where its body begins in the file."""

    type: RecordType
    count: int
    offset: int
    body: bytes


def header_crc(type: int, count: int, length: int) -> int:
    """What the checksum of a record begins with; that of its body follows."""
    return zlib.crc32(HEADER.pack(MARK, type, count, length, 0))


def frame(type: RecordType, count: int, *parts: RowData) -> tuple[bytes, int]:
    """The header of a record whose body is `parts`, and its checksum."""
    length = sum(map(len, parts))
    crc = header_crc(type, count, length)
    for part in parts:
        crc = zlib.crc32(part, crc)
    return HEADER.pack(MARK, type, count, length, crc), crc


def read_records(path: Path, start: int = len(MAGIC)) -> Iterator[LogRecord]:
    """All good records of a log from `start` on, up to the first that is torn or damaged.

    Raises RunDirectoryError where the log is from another version, OSError where it cannot be read.
    """
    with path.open("rb") as file:
        if (magic := file.read(len(MAGIC))) != MAGIC:
            if OTHER_VERSION.match(magic + file.read(20)):
                raise _other_version(path)
            return  # torn or damaged within the first bytes: an empty log
        file.seek(start)
        size = os.fstat(file.fileno()).st_size
        while len(head := file.read(HEADER.size)) == HEADER.size:
            mark, kind, count, length, crc = HEADER.unpack(head)
            if mark != MARK or length > size - file.tell():
                return
            offset = file.tell()
            body = file.read(length)
            if zlib.crc32(body, zlib.crc32(head[:-4] + bytes(4))) != crc:
                return
            if kind not in KNOWN:
                raise _other_version(path)
            yield LogRecord(RecordType(kind), count, offset, body)


def has_records(path: Path) -> bool:
    """Whether a log has more than its first line."""
    try:
        return path.stat().st_size > len(MAGIC)
    except OSError:
        return False


def has_results(path: Path) -> bool:
    """Whether a log has recorded an outcome, by its headers alone; damaged bodies are not noticed."""
    try:
        with path.open("rb") as file:
            file.seek(len(MAGIC))
            while len(head := file.read(HEADER.size)) == HEADER.size:
                mark, kind, _, length, _ = HEADER.unpack(head)
                if mark != MARK or kind == RecordType.RESULTS:
                    return bool(mark == MARK)
                file.seek(length, os.SEEK_CUR)
    except OSError:
        pass
    return False


def _other_version(path: Path) -> RunDirectoryError:
    return RunDirectoryError(
        f"{path} was written by another version of mpibatch. Resume it with that version: run.json says which."
    )
