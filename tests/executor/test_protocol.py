"""What goes between a worker and its executor: tasks as packets, and the status block in shared memory."""

import os

from hypothesis import given
from hypothesis import strategies as st

from mpibatch.executor.protocol import Task, pack, spill_path, unpack
from mpibatch.executor.status_block import StatusBlock
from mpibatch.types import UNKNOWN, MiniBatch, Phase

numbers = st.integers(-1, 2**63 - 1)
batches = st.builds(
    MiniBatch,
    index=numbers,
    dataset=st.integers(0, 2**16 - 1),
    item_offset=numbers,
    items=numbers,
    key=st.text(max_size=50),
    payload=st.binary(max_size=200),
)


@given(st.lists(st.builds(Task, batches, st.integers(1, 255), numbers, numbers, st.just(0)), min_size=1, max_size=5))
def test_tasks_survive_the_queue(tasks: list[Task]) -> None:
    assert unpack(pack(tasks)) == tasks


def test_a_packet_too_large_is_read_from_a_memory_file() -> None:
    task = Task(MiniBatch(1, 0, 0, 1, "", b"x" * 1_000_000), 1)
    descriptor = os.memfd_create("task")
    os.write(descriptor, pack([task]))
    assert unpack(spill_path(os.getpid(), descriptor)) == [task]
    os.close(descriptor)


def test_both_ends_of_a_status_block_agree() -> None:
    ours = StatusBlock()
    theirs = StatusBlock(os.dup(ours.descriptor))
    theirs.begin_task(5, 2, 4, 10)
    theirs.set_items(2)
    since = theirs.set_phase(Phase.RUN)
    read = ours.read()
    assert read is not None
    assert (read.index, read.first, read.last, read.items, read.phase) == (5, 2, 4, 2, Phase.RUN)
    assert read.since == since
    theirs.set_idle()
    read = ours.read()
    assert read is not None
    assert (read.index, read.items, read.phase) == (UNKNOWN, UNKNOWN, Phase.IDLE)
    ours.close()
    theirs.close()


def test_a_half_written_status_block_is_not_read() -> None:
    block = StatusBlock()
    block.begin_task(5, 0, UNKNOWN, 1)
    block._memory[0:8] = (99).to_bytes(8, "little")  # killed after the first counter
    assert block.read() is None
    block.close()


def test_a_new_status_block_says_that_the_executor_starts() -> None:
    """The watchdog reads it before the executor has written anything."""
    block = StatusBlock()
    read = block.read()
    assert read is not None
    assert (read.phase, read.index, read.first, read.last) == (Phase.START, UNKNOWN, 0, UNKNOWN)
    block.close()
