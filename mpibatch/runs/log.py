"""The results log: an append-only file of checksummed records, the one truth of a run.

    file   = MAGIC, record, record, ...
    record = HEADER {type, count, length of the body, crc32 of all but itself}, body
    body   = RESULTS: `count` ATTEMPT records, then each one's row bytes and failure bytes
             SCHEMA:  the schema's bytes; `count` is its id
             CHECKPOINT: how far assembly has come (history.Position)
             REOPENED: mini-batches, 8 bytes each, that are to be run again whatever earlier records say

A record is written with one call; what a crash cuts in two is noticed by length or checksum on opening, and everything
from the first bad record on counts as never written. Nothing is ever overwritten.
"""

import contextlib
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from mpibatch.errors import RunDirectoryError
from mpibatch.runs.directory import cannot_write

MAGIC = b"mpibatch results log 1\n"
OTHER_VERSION = re.compile(rb"mpibatch results log \d+\n")
HEADER = struct.Struct("<4sBxxxIQI")  # mark, type, count, length, crc32
MARK = b"mbr1"


class RecordType(IntEnum):
    RESULTS = 1
    SCHEMA = 2
    CHECKPOINT = 3
    REOPENED = 4


KNOWN = frozenset(RecordType)


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
        """What was appended survives a crash of the machine from here on. Raises RunDirectoryError."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._explain(error) from error

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
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, start)
            raise self._explain(error) from error
        self._end = start + wanted
        return start

    def _explain(self, error: OSError) -> RunDirectoryError:
        return cannot_write(self.path, error)


def scan(path: Path) -> Iterator[Record]:
    """All good records of a log, up to the first that is torn or damaged.

    Raises RunDirectoryError where the log is from another version, OSError where it cannot be read.
    """
    with path.open("rb") as file:
        if (magic := file.read(len(MAGIC))) != MAGIC:
            if OTHER_VERSION.match(magic + file.read(20)):
                raise _other_version(path)
            return  # torn or damaged within the first bytes: an empty log
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
            yield Record(RecordType(kind), count, offset, body)


def results_in(path: Path) -> int:
    """How many outcomes a log has recorded, by its headers alone; damaged bodies are not noticed. Raises OSError."""
    found = 0
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        while len(head := file.read(HEADER.size)) == HEADER.size:
            mark, kind, count, length, _ = HEADER.unpack(head)
            if mark != MARK:
                break
            found += count if kind == RecordType.RESULTS else 0
            file.seek(length, os.SEEK_CUR)
    return found


def _other_version(path: Path) -> RunDirectoryError:
    return RunDirectoryError(
        f"{path} was written by another version of mpibatch. Go on with that version: run.json says which."
    )
