"""A disk with little room, for this process alone: os.write and os.writev write what fits, then fail."""

import errno
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class FullDisk:
    """While it lasts, `room` bytes can be written; `free` makes some more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._write: Callable[..., int] = os.write
        self._writev: Callable[..., int] = os.writev

    def __enter__(self) -> Self:
        def write(descriptor: int, data: Any) -> int:
            return self._write(descriptor, self._what_fits(memoryview(data)))

        def writev(descriptor: int, parts: Any) -> int:
            return self._write(descriptor, self._what_fits(memoryview(b"".join(parts))))

        os.write, os.writev = write, writev
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write, os.writev = self._write, self._writev

    def free(self, room: int) -> None:
        self.room += room

    def _what_fits(self, data: memoryview) -> memoryview:
        if data and not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fits = data[: self.room]
        self.room -= len(fits)
        return fits
