"""The results log: an append-only file of checksummed records (log_records.py), the one truth of a run.

A record is written with one call. What is synced enters the log's index, so that a resume need not read it again.
"""

import contextlib
import os
import threading
from pathlib import Path

from mpibatch.errors import RunDirectoryError
from mpibatch.files import sync_folder, write_all, write_error
from mpibatch.large import RowData
from mpibatch.runs.log_index import IndexEntry, LogIndex
from mpibatch.runs.log_records import HEADER, MAGIC, RecordType, frame


class ResultsLog:
    """The append side. Exclusively created: two owners of one file cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RunDirectoryError(f"cannot create the results log {path}: {error.strerror}") from error
        self._end = 0
        self._index = LogIndex(path.with_suffix(".index"))
        self._syncing = threading.Lock()
        self._named = False  # for good, in its folder
        self._write([MAGIC])

    @property
    def descriptor(self) -> int:
        """For reading row bytes back."""
        return self._file

    def append(self, type: RecordType, count: int, *parts: RowData) -> int:
        """Writes one record; returns the offset of its body. Of RESULTS the first part is the ATTEMPT records.

        Raises RunDirectoryError where the disk is full or gone; the file then ends with the record before.
        """
        head, crc = frame(type, count, *parts)
        offset = self._write([head, *parts]) + HEADER.size
        kept = bytes(parts[0]) if type is RecordType.RESULTS and parts else b"".join(parts)
        self._index.add(IndexEntry(type, count, offset, self._end - offset, crc, kept))
        return offset

    def sync(self) -> None:
        """What was appended survives a crash of the machine from here on. Raises RunDirectoryError."""
        with self._syncing:
            appended = self._index.waiting
            try:
                os.fsync(self._file)
                if not self._named:
                    sync_folder(self.path.parent)
                    self._named = True
            except OSError as error:
                raise write_error(self.path, error) from error
            self._index.write(appended)

    def close(self) -> None:
        self._index.close()
        os.close(self._file)

    def _write(self, parts: list[RowData]) -> int:
        start, wanted = self._end, sum(map(len, parts))
        try:
            write_all(self._file, *parts)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, start)
            raise write_error(self.path, error) from error
        self._end = start + wanted
        return start
