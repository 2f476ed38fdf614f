"""What an executor writes to its pipe, as whole frames. Never blocks.

pipe --read--> small ones: many at once --> one ReceivedFrames of all of them
     --readv-> a large one, over many calls: a buffer of just its size --> a ReceivedFrames of its own
"""

import contextlib
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mpibatch.executor.protocol import FRAME
from mpibatch.large import LARGE_BYTES, RowData, new_buffer

READ_BYTES = 1 << 20
MOST_READ_BYTES = 16 << 20  # of a large frame in one call: the rank has more to do


class ReceivedFrames(NamedTuple):
    """What was read: `frames` are {FrameType, start of the body, end of the body} within `data`.

    A large frame comes alone, in a buffer of its own: who passes on slices of it makes no copy.
    """

    data: RowData
    frames: list[tuple[int, int, int]]


NOTHING = ReceivedFrames(b"", [])


@dataclass(slots=True)
class _LargeFrame:
    """Its type, its body, and how many bytes of that are there."""

    kind: int
    body: memoryview
    filled: int


class FrameReader:
    """Reads from `descriptor`, a pipe that does not block."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()  # begins with a frame
        self._large: _LargeFrame | None = None  # then the buffer is empty

    def read(self) -> ReceivedFrames:
        """Frames that have arrived whole: those that are there, or a large one."""
        if self._large is not None:
            return self._read_large(self._large)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._descriptor, READ_BYTES):
                self._buffer += data
                if len(data) < READ_BYTES // 16 or len(self._buffer) > 4 * READ_BYTES:
                    break
        if not _has_whole_frame(self._buffer):
            self._begin_large()
            return NOTHING
        data = bytes(self._buffer)
        frames: list[tuple[int, int, int]] = []
        size, position, header, unpack_from = len(data), 0, FRAME.size, FRAME.unpack_from
        while position + header <= size:
            kind, length = unpack_from(data, position)
            end = position + header + length
            if end > size:
                break
            frames.append((kind, position + header, end))
            position = end
        del self._buffer[:position]
        return ReceivedFrames(data, frames)

    def drain(self) -> Iterator[ReceivedFrames]:
        """What is still in the pipe, when nobody writes to it any more."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        while any(event & select.POLLIN for _, event in poller.poll(0)):
            yield self.read()

    def _begin_large(self) -> None:
        """Where the buffer has the first part of a large frame."""
        if len(self._buffer) < FRAME.size:
            return
        kind, length = FRAME.unpack_from(self._buffer)
        if length > LARGE_BYTES:
            self._large = _LargeFrame(kind, new_buffer(length), len(self._buffer) - FRAME.size)
            self._large.body[: self._large.filled] = memoryview(self._buffer)[FRAME.size :]
            self._buffer = bytearray()

    def _read_large(self, large: _LargeFrame) -> ReceivedFrames:
        most = min(len(large.body), large.filled + MOST_READ_BYTES)
        with contextlib.suppress(BlockingIOError):
            while large.filled < most and (count := os.readv(self._descriptor, [large.body[large.filled :]])):
                large.filled += count
        if large.filled < len(large.body):
            return NOTHING
        self._large = None
        return ReceivedFrames(large.body, [(large.kind, 0, len(large.body))])


def _has_whole_frame(data: bytearray) -> bool:
    """Whether the first frame is all there."""
    return len(data) >= FRAME.size and len(data) >= FRAME.size + FRAME.unpack_from(data)[1]
