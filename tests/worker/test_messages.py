"""Messages between ranks are what they were after they have travelled."""

import pickle

import pytest

from mpibatch.large import LARGE_BYTES
from mpibatch.types import MiniBatchRange
from mpibatch.worker.messages import ExecuteTasks, Order, RecallTasks, Report, Results, TasksReturned
from mpibatch.worker.report_buffer import ReportBuffer

RANGE = MiniBatchRange(7, [0, 0], [0, 10], [10, 3], ["", "{}"], [b"one", b"two"])


@pytest.mark.parametrize(
    "message",
    [
        ExecuteTasks(RANGE, tries=2, packet_size=3, isolate_items=4),
        RecallTasks(5),
        Results(b"\1\2", b"row\n"),
        TasksReturned([1, 2], recalled=True),
    ],
)
def test_a_message_travels_unchanged(message: Order | Report) -> None:
    """In a pickle that names no field: a grant is mostly that."""
    travelled = pickle.dumps(message, protocol=5)
    assert pickle.loads(travelled) == message
    assert not any(name.encode() in travelled for name in type(message).__match_args__)


def test_rows_in_a_buffer_are_not_copied_into_the_pickle() -> None:
    """They are sent from where they are, and are what the receiver has put them into."""
    rows = memoryview(bytearray(b"row\n"))
    buffers: list[pickle.PickleBuffer] = []
    travelled = pickle.dumps(Results(b"\1\2", rows), protocol=5, buffer_callback=buffers.append)
    assert [bytes(buffer) for buffer in buffers] == [b"row\n"]
    arrived = pickle.loads(travelled, buffers=buffers)
    assert arrived == Results(b"\1\2", rows)
    assert arrived.is_large
    rows[0] = ord("R")
    assert bytes(arrived.data) == b"Row\n"


def test_a_large_attempt_is_a_report_of_its_own() -> None:
    """In its place: it is not joined with others, which would copy it."""
    buffer, large = ReportBuffer(), bytes(LARGE_BYTES + 1)
    for data in (b"a", b"b", large, b"c"):
        buffer.add_attempt(b"record", data)
    before, alone, after = buffer.take()
    assert before == Results(b"recordrecord", b"ab")
    assert isinstance(alone, Results)
    assert isinstance(alone.data, memoryview)
    assert alone.data.obj is large
    assert after == Results(b"record", b"c")
