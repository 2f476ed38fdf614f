"""The index of a results log: all that a resume needs of it but the row bytes, a thousandth of its size.

    results.N.log --what was synced--> results.N.index --> resume: only what follows is read from the log

Records are framed as in the log (results_log.py); each body is ENTRY {offset, length and checksum of the log record's
body} and then the body itself, of RESULTS only the ATTEMPT records. A record enters the index once it has survived a
crash of the machine in the log, never before. The index itself need not: what it lacks is read from the log.
"""

import os
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mpibatch.files import write_all
from mpibatch.runs.log_records import HEADER, MAGIC, LogRecord, RecordType, frame, read_records

ENTRY = struct.Struct("<QQI")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A record of the log: where its body is, how long, and the checksum of all of it. head: its body but row bytes."""

    type: RecordType
    count: int
    offset: int
    length: int
    crc: int
    head: bytes

    @property
    def end(self) -> int:
        return self.offset + self.length


class LogIndex:
    """The append side. A file that cannot be written is done without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: deque[IndexEntry] = deque()
        self._file: int | None = None
        self._failed = False

    def add(self, entry: IndexEntry) -> None:
        """A record that was appended to the log."""
        if not self._failed:
            self._waiting.append(entry)

    @property
    def waiting(self) -> int:
        """How many entries were added and not yet written."""
        return len(self._waiting)

    def write(self, count: int) -> None:
        """The first `count` of those that wait: their records are in the log for good. More may be added meanwhile."""
        entries = [self._waiting.popleft() for _ in range(count)]
        try:
            if entries:
                write_all(self._open(), b"".join(map(_framed, entries)))
        except OSError:
            self._failed = True

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def _open(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
            write_all(self._file, MAGIC)
        return self._file


def read_index(path: Path, log_bytes: int) -> Iterator[IndexEntry]:
    """The records of a log of `log_bytes` bytes from its first on, as far as its index has them without a gap."""
    end = len(MAGIC)
    with suppress(OSError):
        for record in read_records(path):
            entry = _entry(record)
            if entry.offset != end + HEADER.size or entry.end > log_bytes:
                return
            yield entry
            end = entry.end


def _framed(entry: IndexEntry) -> bytes:
    head = ENTRY.pack(entry.offset, entry.length, entry.crc)
    return frame(entry.type, entry.count, head, entry.head)[0] + head + entry.head


def _entry(record: LogRecord) -> IndexEntry:
    offset, length, crc = ENTRY.unpack_from(record.body)
    return IndexEntry(record.type, record.count, offset, length, crc, record.body[ENTRY.size :])
