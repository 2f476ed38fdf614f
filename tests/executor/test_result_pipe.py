"""When held results are written, and in what order."""

import fcntl
import os
from collections.abc import Iterator

import pytest

from mpibatch.executor.result_pipe import HELD_BYTES, HELD_SECONDS, LONG_SECONDS, ResultPipe


class Reader:
    """Both ends of a pipe."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, 4 * HELD_BYTES)
        self.pipe = ResultPipe(self._writing)

    def arrived(self) -> bytes:
        try:
            return os.read(self._reading, 1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def test_quick_ones_are_held_until_there_is_nothing_to_do(reader: Reader) -> None:
    reader.pipe.hold(b"a", 0.0, 0.001)
    reader.pipe.hold(b"b", 0.001, 0.001)
    assert reader.arrived() == b""
    reader.pipe.flush()
    assert reader.arrived() == b"ab"
    reader.pipe.flush()
    assert reader.arrived() == b""


def test_nothing_is_held_for_long(reader: Reader) -> None:
    """Counted from the first that is held, also after an earlier write."""
    for began in (0.0, 5.0):
        reader.pipe.hold(b"a", began, 0.001)
        assert reader.arrived() == b""
        reader.pipe.hold(b"b", began + HELD_SECONDS * 1.01, 0.001)
        assert reader.arrived() == b"ab"


def test_not_much_is_held(reader: Reader) -> None:
    frame = bytes(HELD_BYTES // 2)
    reader.pipe.hold(frame, 0.0, 0.001)
    assert reader.arrived() == b""
    reader.pipe.hold(frame + b"x", 0.0, 0.001)
    assert len(reader.arrived()) > HELD_BYTES


def test_what_took_long_goes_at_once(reader: Reader) -> None:
    reader.pipe.hold(b"a", 0.0, 0.001)
    reader.pipe.hold(b"b", 0.0, LONG_SECONDS * 1.01)
    assert reader.arrived() == b"ab"


def test_a_large_frame_does_not_overtake_either(reader: Reader) -> None:
    reader.pipe.hold(b"a", 0.0, 0.001)
    reader.pipe.send_large(b"head", b"", b"rows", b"failures")
    assert reader.arrived() == b"aheadrowsfailures"


def test_what_is_urgent_does_not_overtake(reader: Reader) -> None:
    """A schema has to come before its rows, and after the rows of another."""
    reader.pipe.hold(b"a", 0.0, 0.001)
    reader.pipe.send(b"b")
    assert reader.arrived() == b"ab"
