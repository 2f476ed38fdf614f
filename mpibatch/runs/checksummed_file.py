"""A file that is only appended to, with a checksum for each block, so that a resume can go on with it.

    write --> blocks: CRC-32 of each BLOCK_BYTES, and of what follows the last one --> position, for a checkpoint
    restore(position) --> a new file under the old name, with what it had at that position
    damage() --> reads it again: whether it is what was written

Each incarnation writes a file of its own, so that a write of its predecessor that comes late reaches nobody. What is
too large to be copied, where the file system cannot share blocks between files, is gone on with as it is: a late write
into it is found in the end, by the checksums.
"""

import contextlib
import fcntl
import os
import zlib
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mpibatch.errors import RunDirectoryError
from mpibatch.files import write_all, write_error

BLOCK_BYTES = 4 << 20
COPIED_UP_TO = 256 << 20  # bytes: more is not copied, and not read again, before a resume begins
READERS = 4  # threads that compute checksums
FICLONE = 0x40049409  # ioctl_ficlone(2): the blocks of another file, shared until one of both is written to


@dataclass(frozen=True, slots=True)
class FileState:
    """How far a file has come. tail_crc: of what follows the last whole block."""

    size: int = 0
    tail_crc: int = 0


BEGINNING = FileState()
NO_BLOCKS = array("I")


class ChecksummedFile:
    """Open for writing from construction; `restore` comes before the first `write`. All raise RunDirectoryError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.blocks = array("I")  # checksums of the whole blocks; only appended to until the file begins anew
        self._tail_crc = 0
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            link = ", and links are not followed here" if path.is_symlink() else ""
            raise RunDirectoryError(f"cannot open {path}: {error.strerror}{link}") from error

    @property
    def position(self) -> FileState:
        return FileState(self.size, self._tail_crc)

    def restore(self, position: FileState, blocks: "array[int]") -> bool:
        """A file with what this one had at `position`, when its blocks had those checksums.

        False, and nothing is done, where that is not there any more.
        """
        self._remove_leftovers()
        try:
            descriptor = self._copy(position.size)
            if not _holds(descriptor, position, blocks, at_once=position.size <= COPIED_UP_TO):
                if descriptor != self._descriptor:
                    os.close(descriptor)
                    self._remove_leftovers()
                return False
            if descriptor != self._descriptor:
                self._new_name.replace(self.path)
                os.close(self._descriptor)
                self._descriptor = descriptor
            os.ftruncate(descriptor, position.size)
            os.lseek(descriptor, position.size, os.SEEK_SET)
        except OSError as error:
            raise self._explain(error) from error
        self.size, self._tail_crc = position.size, position.tail_crc
        self.blocks = blocks[: position.size // BLOCK_BYTES]
        return True

    def clear(self) -> None:
        """Begins anew. Other than after `restore`, another thread may be in `sync`."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise self._explain(error) from error
        self.size, self._tail_crc, self.blocks = 0, 0, array("I")

    def read(self, offset: int, length: int) -> bytes:
        """Fewer than `length` bytes where the file ends, or was cut by others."""
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise self._explain(error) from error

    def write(self, data: bytes) -> None:
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            raise self._explain(error) from error
        rest = memoryview(data)
        while rest:
            piece = rest[: BLOCK_BYTES - self.size % BLOCK_BYTES]
            self._tail_crc = zlib.crc32(piece, self._tail_crc)
            self.size += len(piece)
            rest = rest[len(piece) :]
            if self.size % BLOCK_BYTES == 0:
                self.blocks.append(self._tail_crc)
                self._tail_crc = 0

    def sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._explain(error) from error

    def damage(self, before_block: Callable[[], None] = lambda: None) -> str:
        """Why what `path` names is not what was written here, in words; "" if it is: all of it is read again.

        before_block: called often, in any thread; what it raises ends this
        """
        try:
            named, written = os.stat(self.path, follow_symlinks=False), os.fstat(self._descriptor)
            if not os.path.samestat(named, written):
                return f"{self.path} was replaced by another file"
            if named.st_size != self.size:
                return f"{self.path} has {named.st_size} bytes instead of {self.size}"
            if not _holds(self._descriptor, self.position, self.blocks, at_once=True, before_block=before_block):
                return f"{self.path} has other bytes than were written"
        except FileNotFoundError:
            return f"{self.path} was deleted"
        except OSError as error:
            raise self._explain(error) from error
        return ""

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def _new_name(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{os.getpid()}.new")

    def _copy(self, size: int) -> int:
        """A descriptor of a new file that begins with the first `size` bytes; the old one's where there can be none."""
        new = os.open(self._new_name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            if size:
                fcntl.ioctl(new, FICLONE, self._descriptor)
        except OSError:
            try:
                if size > COPIED_UP_TO:
                    raise
                offset = 0
                while piece := os.pread(self._descriptor, min(BLOCK_BYTES, size - offset), offset):
                    write_all(new, piece)
                    offset += len(piece)
            except OSError:  # too large, or there is no room for both
                os.close(new)
                self._remove_leftovers()
                return self._descriptor
        return new

    def _remove_leftovers(self) -> None:
        """Of incarnations that died while they copied."""
        with contextlib.suppress(OSError):
            for path in self.path.parent.glob(f".{self.path.name}.*.new"):
                path.unlink()

    def _explain(self, error: OSError) -> RunDirectoryError:
        return write_error(self.path, error)


def _holds(
    descriptor: int,
    position: FileState,
    blocks: "array[int]",
    at_once: bool,
    before_block: Callable[[], None] = lambda: None,
) -> bool:
    """Whether the file has what was written up to `position`. Not at_once: the last whole block and what follows."""
    whole = position.size // BLOCK_BYTES
    if os.fstat(descriptor).st_size < position.size or len(blocks) < whole:
        return False

    def is_right(number: int) -> bool:
        before_block()
        length = position.size - whole * BLOCK_BYTES if number == whole else BLOCK_BYTES
        crc = position.tail_crc if number == whole else blocks[number]
        data = os.pread(descriptor, length, number * BLOCK_BYTES)
        return len(data) == length and zlib.crc32(data) == crc

    numbers = range(0 if at_once else max(0, whole - 1), whole + 1)
    if len(numbers) == 1:
        return is_right(numbers[0])
    with ThreadPoolExecutor(READERS, "mpibatch-checksum") as pool:  # both pread and crc32 let others go on
        return all(pool.map(is_right, numbers))
