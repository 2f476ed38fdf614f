"""Ranks that are lost, and what they still say."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from mpibatch.liveness.deadman import DeadmanSwitch
from mpibatch.mpi.transport import LocalTransport, Transport
from mpibatch.mpi.worker_pool import WorkerPool
from mpibatch.worker.messages import Heartbeat, NewSchema, Rejoin, Rejoined, Results, Shutdown

RESULTS = Results(b"", b"")


class Network(LocalTransport):
    """The transport of rank 0 of three, without the others."""

    size = 3

    def __init__(self) -> None:
        self.arriving: list[tuple[int, Any]] = []
        self.sent: list[tuple[int, Any]] = []
        self.forgotten: set[int] = set()

    def send(self, to: int, message: object) -> None:
        self.sent.append((to, message))

    def receive(self) -> list[tuple[int, Any]]:
        arrived, self.arriving = self.arriving, []
        return arrived

    def forget(self, rank: int) -> None:
        self.forgotten.add(rank)

    def remember(self, rank: int) -> None:
        self.forgotten.discard(rank)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def pool(network: Network) -> Iterator[WorkerPool]:
    reading, writing = os.pipe()
    transport: Transport = network
    yield WorkerPool(transport, (1, 2), None, DeadmanSwitch(writing), rank_timeout=60)
    os.close(reading)
    os.close(writing)


def said(pool: WorkerPool, network: Network, *messages: tuple[int, Any]) -> list[tuple[int, Any]]:
    network.arriving.extend(messages)
    return pool.poll()


def test_a_lost_rank_that_speaks_is_told_once_to_begin_anew(pool: WorkerPool, network: Network) -> None:
    pool.on_lost(1)
    assert network.forgotten == {1}
    assert said(pool, network, (1, RESULTS), (2, RESULTS), (1, Heartbeat())) == [(2, RESULTS)]
    assert network.sent == [(1, Rejoin(1))]
    assert pool.exited(1)


def test_it_counts_again_from_its_answer_on(pool: WorkerPool, network: Network) -> None:
    pool.on_lost(1)
    said(pool, network, (1, Heartbeat()))
    answer = Rejoined(1, has_begun=True)
    assert said(pool, network, (1, RESULTS), (1, answer), (1, RESULTS)) == [(1, answer), (1, RESULTS)]
    assert not network.forgotten
    assert not pool.exited(1)
    assert pool.suspected() == []


def test_schemas_count_at_any_time(pool: WorkerPool, network: Network) -> None:
    """Each is sent once, before the first rows of it."""
    pool.on_lost(1)
    schema = NewSchema(5, b"columns")
    assert said(pool, network, (1, schema)) == [(1, schema)]


def test_an_answer_to_an_earlier_order_is_none(pool: WorkerPool, network: Network) -> None:
    pool.on_lost(1)
    said(pool, network, (1, Heartbeat()), (1, Rejoined(1, has_begun=True)))
    pool.on_lost(1)
    assert said(pool, network, (1, Rejoined(1, has_begun=True))) == []
    assert network.sent == [(1, Rejoin(1)), (1, Rejoin(2))]


def test_at_the_end_nobody_is_taken_back(pool: WorkerPool, network: Network) -> None:
    pool.on_lost(1)
    pool.shut_down(kill=False)
    assert said(pool, network, (1, Heartbeat())) == []
    assert network.sent == [(2, Shutdown(kill=False, skip_finalize=True))]
