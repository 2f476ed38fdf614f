"""A limit to what a script prints: its files keep their beginning and their end.

The script writes to them itself, by descriptors that append, so that its last words before a crash are there. A file
that has grown beyond LIMIT_BYTES is therefore cut from outside: its first and its last lines stay, a notice between.
"""

import os
from collections.abc import Sequence
from pathlib import Path

LIMIT_BYTES = 64 << 20
HEAD_BYTES = 8 << 20
TAIL_BYTES = 8 << 20


class LogLimit:
    """Of one rank's files; to be called every few seconds."""

    def __init__(self, paths: Sequence[Path], limit: int = LIMIT_BYTES, head: int = HEAD_BYTES, tail: int = TAIL_BYTES):
        self._paths = paths
        self._limit, self._head, self._tail = limit, head, tail

    def __call__(self) -> None:
        """Raises OSError."""
        for path in self._paths:
            if path.exists() and path.stat().st_size > self._limit:
                self._cut(path)

    def _cut(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            head = os.pread(descriptor, self._head, 0)
            tail = os.pread(descriptor, self._tail, size - self._tail)
            keep = head.rfind(b"\n") + 1 or len(head)
            tail = tail[tail.find(b"\n") + 1 :]
            left_out = size - keep - len(tail)
            os.ftruncate(descriptor, keep)
            notice = (
                f"\nmpibatch: {left_out:,} bytes are left out here: the file was longer than {self._limit:,} bytes\n\n"
            )
            os.write(descriptor, notice.encode() + tail)
        finally:
            os.close(descriptor)
