"""The results log: an append-only file of checksummed records, the one truth of a run.

    file   = MAGIC, record, record, ...
    record = HEADER {type, count, length of the body, crc32 of all but itself}, body
    body   = RESULTS: `count` ATTEMPT records, then each one's row bytes and failure bytes
             SCHEMA:  the schema's bytes; `count` is its id
             CHECKPOINT: how far assembly has come (history.Position)
             REOPENED: mini-batches, 8 bytes each, that are to be run again whatever earlier records say

A record is written with one call; what a crash cuts in two is noticed by length or checksum on opening, and everything
from the first bad record on is cut off. Nothing is ever overwritten.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from mpibatch.errors import RunDirectoryError

MAGIC = b"mpibatch results log 1\n"
HEADER = struct.Struct("<4sBxxxIQI")  # mark, type, count, length, crc32
MARK = b"mbr1"


class RecordType(IntEnum):
    RESULTS = 1
    SCHEMA = 2
    CHECKPOINT = 3
    REOPENED = 4


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read back; `offset` is where its body begins in the file."""

    type: RecordType
    count: int
    offset: int
    body: bytes


class ResultsLog:
    """The append side. Exclusively created: two owners of one file cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RunDirectoryError(f"cannot create the results log {path}: {error.strerror}") from error
        self._end = 0
        self._write([MAGIC])

    @property
    def descriptor(self) -> int:
        """For reading row bytes back."""
        return self._file

    def append(self, type: RecordType, count: int, *parts: bytes) -> int:
        """Writes one record; returns the offset of its body.

        Raises RunDirectoryError where the disk is full or gone; the file then ends with the record before.
        """
        length = sum(map(len, parts))
        head = HEADER.pack(MARK, type, count, length, 0)
        crc = zlib.crc32(head)
        for part in parts:
            crc = zlib.crc32(part, crc)
        return self._write([head[:-4] + crc.to_bytes(4, "little"), *parts]) + HEADER.size

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, parts: list[bytes]) -> int:
        start, wanted = self._end, sum(map(len, parts))
        try:
            written = os.writev(self._file, parts)
            if written < wanted:
                rest = memoryview(b"".join(parts))[written:]
                while rest:
                    rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, start)
            raise RunDirectoryError(
                f"cannot write to the results log {self.path}: {error.strerror}. Everything before is kept: "
                "make room, then go on with `mpibatch resume`."
            ) from error
        self._end = start + wanted
        return start


def scan(path: Path) -> Iterator[Record]:
    """All good records of a log, up to the first that is torn or damaged.

    Raises RunDirectoryError for a file that is no results log or is from another version.
    """
    with path.open("rb") as file:
        if (magic := file.read(len(MAGIC))) != MAGIC:
            if MAGIC.startswith(magic):
                return  # torn within the first bytes: an empty log
            raise RunDirectoryError(
                f"{path} is no results log of this version of mpibatch: it begins {magic!r}, not {MAGIC!r}. Go on with "
                "the version that wrote it (run.json says which)."
            )
        size = os.fstat(file.fileno()).st_size
        while len(head := file.read(HEADER.size)) == HEADER.size:
            mark, kind, count, length, crc = HEADER.unpack(head)
            if mark != MARK or length > size - file.tell():
                return
            offset = file.tell()
            body = file.read(length)
            if zlib.crc32(body, zlib.crc32(head[:-4] + bytes(4))) != crc:
                return
            yield Record(RecordType(kind), count, offset, body)
