"""A file that is only ever appended to, whose length and checksum are known, so that it can be gone back in."""

import os
import zlib
from pathlib import Path

from mpibatch.errors import RunDirectoryError
from mpibatch.runs.directory import cannot_write

PIECE = 4 << 20


class File:
    """Open for writing from construction; `cut` comes before the first `write`. Raises RunDirectoryError throughout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.crc = 0
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RunDirectoryError(f"cannot open {path}: {error.strerror}") from error

    def cut(self, size: int, crc: int) -> bool:
        """Back to the first `size` bytes, if they are there and have this checksum; else False, and nothing is done."""
        try:
            found, offset = 0, 0
            while offset < size and (piece := os.pread(self._descriptor, min(PIECE, size - offset), offset)):
                found, offset = zlib.crc32(piece, found), offset + len(piece)
            if (offset, found) != (size, crc):
                return False
            os.ftruncate(self._descriptor, size)
            os.lseek(self._descriptor, size, os.SEEK_SET)
        except OSError as error:
            raise self._explain(error) from error
        self.size, self.crc = size, crc
        return True

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise self._explain(error) from error
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)

    def sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._explain(error) from error

    def close(self) -> None:
        os.close(self._descriptor)

    def _explain(self, error: OSError) -> RunDirectoryError:
        return cannot_write(self.path, error)
