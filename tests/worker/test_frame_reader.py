"""What an executor writes arrives whole and in order, whatever it is cut into, and what is large is not copied."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator, Sequence

import pytest

from mpibatch.executor.protocol import FRAME
from mpibatch.large import LARGE_BYTES
from mpibatch.worker.frame_reader import FrameReader, ReceivedFrames

PIPE_BYTES = 1 << 20


class Pipe:
    """Both ends of a pipe, as the executor's."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.reader, self._reading = FrameReader(reading), reading

    def close(self) -> None:
        os.close(self._reading)
        with contextlib.suppress(OSError):
            os.close(self.writing)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def frame(kind: int, body: bytes) -> bytes:
    return FRAME.pack(kind, len(body)) + body


def bodies(arrived: ReceivedFrames) -> list[tuple[int, bytes]]:
    return [(kind, bytes(arrived.data[start:end])) for kind, start, end in arrived.frames]


SIZES = [
    [10, LARGE_BYTES + 1, 5, 0, 3 * LARGE_BYTES, 7],
    [LARGE_BYTES + 1, LARGE_BYTES + 2],
    [LARGE_BYTES, 1, LARGE_BYTES - 1, PIPE_BYTES, 5 * PIPE_BYTES],
]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("step", [999_983, 64 << 20])
def test_large_and_small_frames_arrive_in_order(pipe: Pipe, sizes: Sequence[int], step: int) -> None:
    """A large one comes alone, as a buffer of its own; the small ones behind it are not lost in it."""
    sent = [(number % 5 + 1, bytes([number + 1]) * size) for number, size in enumerate(sizes)]
    data = b"".join(frame(kind, body) for kind, body in sent)

    def write() -> None:
        for start in range(0, len(data), step):
            rest = memoryview(data)[start : start + step]
            while rest:
                rest = rest[os.write(pipe.writing, rest) :]

    thread = threading.Thread(target=write)
    thread.start()
    found: list[tuple[int, bytes]] = []
    while len(found) < len(sent):
        arrived = pipe.reader.read()
        is_large = any(end - start > LARGE_BYTES for _, start, end in arrived.frames)
        assert isinstance(arrived.data, memoryview) == is_large
        assert not is_large or [(start, end) for _, start, end in arrived.frames] == [(0, len(arrived.data))]
        found += bodies(arrived)
    thread.join()
    assert found == sent
    assert pipe.reader.read().frames == []


def test_a_large_frame_that_is_not_whole_is_none(pipe: Pipe) -> None:
    """An executor that is killed in it has not finished."""
    os.write(pipe.writing, frame(1, bytes(LARGE_BYTES + 1))[: PIPE_BYTES // 2])
    assert pipe.reader.read().frames == []
    os.close(pipe.writing)
    assert pipe.reader.read().frames == []
    assert [bodies(arrived) for arrived in pipe.reader.drain()] == []


def test_draining_goes_on_behind_a_large_frame(pipe: Pipe) -> None:
    """Of a dead executor: the mini-batch whose result was sent whole would be blamed for its end."""
    large, small = bytes(LARGE_BYTES + 1), b"behind it"
    data = frame(1, large) + frame(2, small)
    kept_back = len(data) - PIPE_BYTES // 2
    for start in range(0, kept_back, PIPE_BYTES // 2):
        os.write(pipe.writing, data[start : min(start + PIPE_BYTES // 2, kept_back)])
        assert pipe.reader.read().frames == []
    os.write(pipe.writing, data[kept_back:])
    os.close(pipe.writing)
    assert [found for arrived in pipe.reader.drain() for found in bodies(arrived)] == [(1, large), (2, small)]
