"""A map over other ranks gives what `map` gives, in that order, whoever answers late, never, or with an error."""

import random
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.errors import InputError
from mpibatch.mpi.parallel_map import MapServer, ParallelMap, PlanningTransport


class Network:
    """Rank 0's way to ranks that answer after a while, some of them never; time passes when it looks."""

    rank, library, is_busy, unsent_bytes, has_failures = 0, "", False, 0, False

    def __init__(self, size: int, choice: random.Random, mute: set[int], lost: set[int]) -> None:
        self.size = size
        self.now = 0.0
        self.choice = choice
        self.mute = mute | lost
        self.failed = sorted(lost)
        self.others = {rank: MapServer() for rank in range(1, size)}
        self.in_flight: deque[tuple[int, Any]] = deque()
        self.delayed: list[tuple[int, Any]] = []  # for long
        self.receivers: set[int] = set()

    def clock(self) -> float:
        return self.now

    def send(self, to: int, message: object) -> None:
        self.receivers.add(to)
        result = self.others[to].handle(message)
        if result is not None and to not in self.mute:
            self.in_flight.append((to, result))

    def receive(self) -> list[tuple[int, Any]]:
        self.now += self.choice.choice([0.0, 0.1, 1.5])
        self.choice.shuffle(self.in_flight)
        arrived = [self.in_flight.popleft() for _ in range(self.choice.randint(0, len(self.in_flight)))]
        self.delayed += [one for one in arrived if self.choice.random() < 0.2]
        loose = [one for one in self.delayed if self.choice.random() < 0.05]
        arrived = [one for one in arrived if one not in self.delayed] + loose
        self.delayed = [one for one in self.delayed if one not in loose]
        return arrived

    def remember(self, rank: int) -> None:
        pass

    def forget(self, rank: int) -> None:
        pass

    def allgather_on_node(self, value: object) -> tuple[int, list[Any]]:
        return 0, [value]

    def take_failed(self) -> list[int]:
        failed, self.failed = self.failed, []
        return failed

    def close(self) -> None:
        pass


def planner(network: Network, solo_seconds: float = -1.0) -> ParallelMap:
    return ParallelMap(PlanningTransport(network), solo_seconds, network.clock)


def triple(number: int) -> int:
    return 3 * number


def triple_but_not_7(number: int) -> int:
    if number == 7:
        raise InputError("7 cannot be read")
    return 3 * number


@given(
    st.integers(1, 5),
    st.lists(st.sampled_from([0, 1, 30, 60]), min_size=2, max_size=3),
    st.sets(st.integers(1, 4)),
    st.sets(st.integers(1, 4)),
    st.integers(0, 1 << 30),
)
def test_the_same_as_map(size: int, counts: list[int], mute: set[int], lost: set[int], seed: int) -> None:
    """Also of several maps after one another, where late answers to one arrive during the next."""
    network = Network(size, random.Random(seed), mute, lost)
    parallel_map = planner(network)
    for place, count in enumerate(counts):
        assert list(parallel_map(partial(pow, 2 + place), range(count))) == [(2 + place) ** n for n in range(count)]


@pytest.mark.parametrize("seed", range(100))
def test_a_result_of_an_earlier_map_is_none_of_this_one(seed: int) -> None:
    """It has a number of this one, too. One seed in twenty would notice."""
    network = Network(5, random.Random(seed), set(), set())
    parallel_map = planner(network)
    for place, count in enumerate((20, 60, 60)):
        assert list(parallel_map(partial(pow, 2 + place), range(count))) == [(2 + place) ** n for n in range(count)]


def test_others_get_tasks_but_not_at_first() -> None:
    network = Network(3, random.Random(1), set(), set())
    assert list(planner(network, 1000.0)(triple, range(50))) == [*range(0, 150, 3)]
    assert network.receivers == set()
    assert list(planner(network)(triple, range(50))) == [*range(0, 150, 3)]
    assert network.receivers == {1, 2}


def test_arguments_are_not_all_taken_at_once() -> None:
    """There may be a million; what is taken waits in memory."""
    network = Network(3, random.Random(2), set(), set())
    taken = 0

    def arguments() -> Iterator[int]:
        nonlocal taken
        for number in range(100_000):
            taken += 1
            yield number

    results = planner(network)(triple, arguments())
    assert [next(results) for _ in range(5)] == [0, 3, 6, 9, 12]
    assert taken < 10_000


@pytest.mark.parametrize("size", [1, 3])
def test_an_error_comes_in_its_turn(size: int) -> None:
    network = Network(size, random.Random(3), set(), set())
    results = planner(network)(triple_but_not_7, range(50))
    assert [next(results) for _ in range(7)] == [*range(0, 21, 3)]
    with pytest.raises(InputError, match="7 cannot be read"):
        next(results)
