"""The transport between real ranks; test_transport.py has mpirun start this file on three of them.

Every rank runs every test. None of them blocks for another rank except in `await_messages`, which has an end.
"""

import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from mpi4py import MPI

from mpibatch.errors import StoppedEarly
from mpibatch.mpi import large_message
from mpibatch.mpi import transport as transport_module
from mpibatch.mpi.messages import CancelRun
from mpibatch.mpi.parallel_map import MapServer, ParallelMap, PlanningTransport
from mpibatch.mpi.transport import MAX_PER_POLL, MpiTransport
from mpibatch.worker.messages import Heartbeat, Results

pytestmark = pytest.mark.mpi(min_size=3)
LARGE = 8 << 20  # bytes: beyond what any MPI sends without the receiver's consent


@dataclass(frozen=True)
class Numbered:
    number: int
    body: bytes = b""


@pytest.fixture
def transport() -> Iterator[MpiTransport]:
    made = MpiTransport(MPI.COMM_WORLD)
    yield made
    made.close()
    assert not made.is_busy
    assert not made.has_failures
    assert made.take_failed() == []


def others(transport: MpiTransport) -> list[int]:
    return [rank for rank in range(transport.size) if rank != transport.rank]


def is_busy(transport: MpiTransport) -> bool:
    return transport.is_busy


def await_messages(transport: MpiTransport, count: int) -> list[tuple[int, Numbered]]:
    """`count` messages, in the order of their arrival."""
    found: list[tuple[int, Numbered]] = []
    until = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < until, f"rank {transport.rank} has {len(found)} of {count} messages"
        came = transport.receive()
        assert len(came) <= MAX_PER_POLL
        found += came
    return found


def test_what_all_send_to_all_arrives_in_order(transport: MpiTransport) -> None:
    for number in range(300):
        for rank in others(transport):
            transport.send(rank, Numbered(number))
    found = await_messages(transport, 300 * (transport.size - 1))
    for rank in others(transport):
        assert [message.number for sender, message in found if sender == rank] == list(range(300))


def test_large_messages_both_ways_at_once_do_not_block(transport: MpiTransport) -> None:
    """Two ranks in blocking sends of this size would wait for each other for ever."""
    for rank in others(transport):
        transport.send(rank, Numbered(transport.rank, bytes([transport.rank]) * LARGE))
    for sender, message in await_messages(transport, transport.size - 1):
        assert message == Numbered(sender, bytes([sender]) * LARGE)


def test_a_message_of_many_pieces_keeps_its_place(transport: MpiTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 2 GiB one piece is none that MPI takes; pieces here are small, and heartbeats come from another thread."""
    monkeypatch.setattr(large_message, "PIECE_BYTES", 1000)
    stop = threading.Event()

    def beat() -> None:
        while not stop.is_set():
            for rank in others(transport):
                transport.send(rank, "beat")
            time.sleep(0.001)

    thread = threading.Thread(target=beat)
    thread.start()
    bodies = [bytes([transport.rank]) * size for size in (0, 1, 100_000, 3, 55_555, 1000)]
    for number, body in enumerate(bodies):
        for rank in others(transport):
            transport.send(rank, Numbered(number, body))
    found: dict[int, list[Numbered]] = {rank: [] for rank in others(transport)}
    until = time.monotonic() + 30
    while any(len(messages) < len(bodies) for messages in found.values()):
        assert time.monotonic() < until
        for sender, message in transport.receive():
            if message != "beat":
                found[sender].append(message)
    stop.set()
    thread.join()
    for sender, messages in found.items():
        assert messages == [Numbered(number, bytes([sender]) * len(body)) for number, body in enumerate(bodies)]
    MPI.COMM_WORLD.Barrier()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        transport.receive()  # the last heartbeats


def test_a_rank_that_is_forgotten_in_a_message_and_goes_on_disturbs_nobody(
    transport: MpiTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of its message was taken for a whole one, and ended rank 0 with all others."""
    monkeypatch.setattr(large_message, "PIECE_BYTES", LARGE)
    if transport.rank == 1:
        transport.send(0, Numbered(1, bytes(20 * LARGE)))
        transport.send(0, Numbered(2))
        while is_busy(transport):  # until rank 0 has taken all of it
            assert transport.receive() == []
        transport.send(2, Numbered(3))
    elif transport.rank == 2:
        assert await_messages(transport, 1) == [(1, Numbered(3))]
        transport.send(0, Numbered(3))
    else:
        while not is_busy(transport):
            assert transport.receive() == []
        transport.forget(1)
        assert not is_busy(transport)
        found = await_messages(transport, 3)
        assert [(sender, message.number) for sender, message in found if sender == 1] == [(1, 1), (1, 2)]
        assert (2, Numbered(3)) in found


def test_rows_arrive_in_a_buffer_of_their_own(transport: MpiTransport) -> None:
    """Each rank holds them once: what is sent is where they were read to, and what arrives is no part of a pickle."""
    right = (transport.rank + 1) % transport.size
    rows = memoryview(bytearray([transport.rank]) * (3 * LARGE + 5))
    transport.send(right, Results(b"record", rows))
    assert transport.unsent_bytes > 0
    ((sender, results),) = await_messages(transport, 1)
    assert isinstance(results, Results)
    assert results.is_large
    assert results == Results(b"record", bytes([sender]) * (3 * LARGE + 5))
    until = time.monotonic() + 30
    while transport.is_busy:
        assert time.monotonic() < until
        assert transport.receive() == []
    assert transport.unsent_bytes == 0


def test_large_messages_wait_for_room(transport: MpiTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many ranks that each send large rows filled the memory of rank 0. One that is larger than the room goes alone."""
    monkeypatch.setattr(transport_module, "MAX_LARGE_BYTES", 2 * LARGE + 1000)
    monkeypatch.setattr(large_message, "PIECE_BYTES", LARGE // 3)
    sizes = [0, LARGE, LARGE, 5 * LARGE, LARGE, LARGE, 0]
    if transport.rank:
        for number, size in enumerate(sizes):
            transport.send(0, Numbered(number, bytes([transport.rank]) * size))
        return
    with monkeypatch.context() as patch:
        patch.setattr(transport, "_begin_announced", lambda: None)
        small = await_messages(transport, transport.size - 1)
        assert sorted(sender for sender, _ in small) == others(transport)
        while len(transport._announced) < 5 * (transport.size - 1):
            assert transport.receive() == []
    begun: list[list[int]] = []
    begin = transport._begin_announced

    def watched() -> None:
        begin()
        begun.append([large.size for large in transport._begun])

    monkeypatch.setattr(transport, "_begin_announced", watched)
    found: dict[int, list[Numbered]] = {sender: [message] for sender, message in small}
    until = time.monotonic() + 60
    while any(len(messages) < len(sizes) for messages in found.values()):
        assert time.monotonic() < until
        for sender, message in transport.receive():
            found[sender].append(message)
    assert all(sum(sizes) <= 2 * LARGE + 1000 or len(sizes) == 1 for sizes in begun)
    assert max(map(len, begun)) == 2
    for sender, messages in found.items():
        assert messages == [Numbered(number, bytes([sender]) * size) for number, size in enumerate(sizes)]
    assert transport._begun == []


def test_a_heartbeat_overtakes_what_waits_for_room(transport: MpiTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank whose rows rank 0 has no room for would be taken for silent. All else keeps its place."""
    if transport.rank:
        transport.send(0, Numbered(1, bytes(LARGE)))
        transport.send(0, Numbered(2))
        transport.send(0, Heartbeat())
        return
    with monkeypatch.context() as patch:
        patch.setattr(transport, "_begin_announced", lambda: None)
        beats = await_messages(transport, transport.size - 1)
        assert sorted(sender for sender, _ in beats) == others(transport)
        assert all(isinstance(message, Heartbeat) for _, message in beats)
    messages = await_messages(transport, 2 * (transport.size - 1))
    for rank in others(transport):
        assert [message.number for sender, message in messages if sender == rank] == [1, 2]


def test_nothing_to_receive_is_no_message(transport: MpiTransport) -> None:
    assert transport.receive() == []
    assert not transport.is_busy


def test_ranks_of_one_node_know_each_other(transport: MpiTransport) -> None:
    node_rank, values = transport.allgather_on_node(f"rank {transport.rank}")
    assert values[node_rank] == f"rank {transport.rank}"
    assert sorted(values) == [f"rank {rank}" for rank in range(transport.size)]


class GarblingNode:
    """Stands in for ranks of which one dies in the midst of an exchange: the others get what was in memory."""

    def __init__(self, garble: Callable[[tuple[bytes, int]], list[object]]) -> None:
        self.garble = garble

    def Get_rank(self) -> int:
        return 0

    def allgather(self, value: tuple[bytes, int]) -> list[object]:
        return self.garble(value)


@pytest.mark.parametrize(
    "garble",
    [
        lambda value: [value, (value[0][:-1], value[1])],
        lambda value: [value, None],
        lambda value: [pickle.loads(b"\x10")],
    ],
)
def test_a_rank_that_dies_while_all_register(
    monkeypatch: pytest.MonkeyPatch, garble: Callable[[tuple[bytes, int]], list[object]]
) -> None:
    """It had ended the others by UnpicklingError, with a traceback."""
    transport = MpiTransport(MPI.COMM_WORLD)
    monkeypatch.setattr(transport, "_node", GarblingNode(garble))
    with pytest.raises(StoppedEarly, match="a rank was lost"):
        transport.allgather_on_node("seen")
    assert transport.has_failures


def test_messages_stay_in_their_communicator(transport: MpiTransport) -> None:
    """A script's or a library's own use of MPI.COMM_WORLD does not meet ours."""
    right = (transport.rank + 1) % transport.size
    request = MPI.COMM_WORLD.isend("foreign", right, 7)
    transport.send(right, Numbered(1))
    assert [message for _, message in await_messages(transport, 1)] == [Numbered(1)]
    assert MPI.COMM_WORLD.recv(source=MPI.ANY_SOURCE, tag=7) == "foreign"
    request.wait()


def test_a_plan_is_made_on_all_ranks(transport: MpiTransport) -> None:
    """Rank 0 asks at once; what others send besides waits for whom it is for."""
    if transport.rank == 0:
        planning = PlanningTransport(transport)
        parallel_map = ParallelMap(planning, solo_seconds=-1.0)
        found = list(parallel_map(who_squares, range(300)))
        assert [square for _, square in found] == [number**2 for number in range(300)]
        assert len({pid for pid, _ in found}) == transport.size
        assert sorted(planning.take_others()) == [(rank, Numbered(rank)) for rank in others(transport)]
        for rank in others(transport):
            transport.send(rank, CancelRun())
    else:
        transport.send(0, Numbered(transport.rank))
        server = MapServer()
        while CancelRun() not in (messages := [message for _, message in transport.receive()]):
            for result in filter(None, map(server.handle, messages)):
                transport.send(0, result)


def who_squares(number: int) -> tuple[int, int]:
    time.sleep(0.002)
    return os.getpid(), number**2
