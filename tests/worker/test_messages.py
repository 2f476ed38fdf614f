"""Messages between ranks are what they were after they have travelled."""

import pickle

import pytest

from mpibatch.types import MiniBatchRange
from mpibatch.worker.messages import ExecuteTasks, Order, RecallTasks, Report, Results, TasksReturned

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
