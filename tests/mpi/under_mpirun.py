"""The transport between real ranks; test_transport.py has mpirun start this file on three of them.

Every rank runs every test. None of them blocks for another rank except in `await_messages`, which has an end.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from mpi4py import MPI

from mpibatch.mpi.member import wait_for_setup
from mpibatch.mpi.messages import CallOff
from mpibatch.mpi.spread import Spread
from mpibatch.mpi.transport import AT_MOST, MpiTransport

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
    assert not made.sending
    assert not made.broken
    assert made.take_lost() == []


def others(transport: MpiTransport) -> list[int]:
    return [rank for rank in range(transport.size) if rank != transport.rank]


def await_messages(transport: MpiTransport, count: int) -> list[tuple[int, Numbered]]:
    """`count` messages, in the order of their arrival."""
    found: list[tuple[int, Numbered]] = []
    until = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < until, f"rank {transport.rank} has {len(found)} of {count} messages"
        came = transport.receive()
        assert len(came) <= AT_MOST
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


def test_nothing_to_receive_is_no_message(transport: MpiTransport) -> None:
    assert transport.receive() == []
    assert not transport.sending


def test_ranks_of_one_host_have_places_and_know_each_other(transport: MpiTransport) -> None:
    place, values = transport.gather_on_host(f"rank {transport.rank}")
    assert values[place] == f"rank {transport.rank}"
    assert sorted(values) == [f"rank {rank}" for rank in range(transport.size)]


def test_messages_stay_in_their_communicator(transport: MpiTransport) -> None:
    """A script's or a library's own use of MPI.COMM_WORLD does not meet ours."""
    right = (transport.rank + 1) % transport.size
    request = MPI.COMM_WORLD.isend("foreign", right, 7)
    transport.send(right, Numbered(1))
    assert [message for _, message in await_messages(transport, 1)] == [Numbered(1)]
    assert MPI.COMM_WORLD.recv(source=MPI.ANY_SOURCE, tag=7) == "foreign"
    request.wait()


def test_a_plan_is_made_on_all_ranks(transport: MpiTransport) -> None:
    """Rank 0 asks at once, the others wait for a plan as they do in a run."""
    if transport.rank == 0:
        spread = Spread(transport, patience=-1.0)
        found = list(spread(who_squares, range(300)))
        assert [square for _, square in found] == [number**2 for number in range(300)]
        assert len({pid for pid, _ in found}) == transport.size
        for rank in others(transport):
            transport.send(rank, CallOff())
    else:
        assert wait_for_setup(transport) is None


def who_squares(number: int) -> tuple[int, int]:
    time.sleep(0.002)
    return os.getpid(), number**2
