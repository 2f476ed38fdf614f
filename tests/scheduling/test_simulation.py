"""A run as discrete events: the real scheduler, simulated workers and messages that take time.

Guards what is aimed at for a heavy-tailed load: within a few percent of in-order list scheduling without any
overhead, since what a slow worker holds unbegun is recalled. Results are sent as they come, like a worker's.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from mpibatch.scheduling.actions import Action, Cancel, Finish, Grant, Recall
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.scheduler import Scheduler
from tests.scheduling.attempts import Attempt, records
from tests.scheduling.policies import policy_with

LATENCY = 0.001  # seconds a message takes, one way


@dataclass
class Worker:
    backlog: list[int] = field(default_factory=list)
    running: int | None = None


class Simulation:
    """hanging: the mini-batches that take longer at first, and how long"""

    def __init__(
        self,
        durations: Sequence[float],
        workers: int,
        hanging: Mapping[int, float] | None = None,
        policy: SchedulingPolicy | None = None,
    ) -> None:
        self.durations = durations
        self.hanging = dict(hanging or {})
        self.scheduler = Scheduler(len(durations), policy or policy_with(error_threshold=-1))
        self.workers = [Worker() for _ in range(workers)]
        self.events: list[tuple[float, int, str, int, object]] = []
        self.order = count()
        self.now = 0.0
        self.finished: float | None = None
        self.messages = 0

    def at(self, delay: float, what: str, rank: int, value: object = None) -> None:
        heapq.heappush(self.events, (self.now + delay, next(self.order), what, rank, value))

    def act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self.messages += 1
            if isinstance(action, Grant | Recall | Cancel):
                self.at(LATENCY, "order", action.rank, action)
            else:
                assert isinstance(action, Finish)
                self.finished = self.now

    def run(self) -> float:
        self.act(self.scheduler.start())
        for rank in range(len(self.workers)):
            self.act(self.scheduler.on_worker_ready(rank))
        self.at(1.0, "look", 0)
        while self.events and self.finished is None:
            self.now, _, what, rank, value = heapq.heappop(self.events)
            worker = self.workers[rank]
            if what == "order":
                self.handle_order(worker, rank, value)
            elif what == "look":
                self.act(self.scheduler.back_up(self.now))
                self.at(1.0, "look", 0)
            elif what == "done":
                if worker.running == value:  # else it was cancelled
                    worker.running = None
                    self.at(LATENCY, "attempt", rank, value)
            elif what == "attempt":
                assert isinstance(value, int)
                attempt = Attempt(value, seconds=self.durations[value])
                self.act(self.scheduler.on_attempts(records([attempt]), rank)[1])
            else:
                assert isinstance(value, list)
                self.act(self.scheduler.on_returned(rank, value, recalled=True))
            self.start(worker, rank)
        assert self.finished is not None
        return self.finished

    def handle_order(self, worker: Worker, rank: int, order: object) -> None:
        if isinstance(order, Grant):
            worker.backlog += range(order.first, order.first + order.count)
        elif isinstance(order, Cancel):
            worker.backlog = [index for index in worker.backlog if index != order.index]
            worker.running = None if worker.running == order.index else worker.running
        else:
            assert isinstance(order, Recall)
            given = [worker.backlog.pop() for _ in range(min(order.count, len(worker.backlog)))]
            self.at(LATENCY, "returned", rank, given)

    def start(self, worker: Worker, rank: int) -> None:
        if worker.running is None and worker.backlog:
            worker.running = worker.backlog.pop(0)
            self.at(self.hanging.pop(worker.running, self.durations[worker.running]), "done", rank, worker.running)


def list_scheduling(durations: Sequence[float], workers: int) -> float:
    """In order, each to whoever is free first, without any overhead."""
    free = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


LOADS: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "pareto": lambda random: 0.05 * (1 + random.pareto(1.3, 2000)),
    "lognormal": lambda random: random.lognormal(-2.0, 1.5, 2000),
    "few long": lambda random: np.where(random.random(2000) < 0.01, 5.0, 0.05),
    "even": lambda random: np.full(2000, 0.1),
    "short": lambda random: random.exponential(0.002, 5000),
}


@pytest.mark.parametrize("workers", [1, 2, 8, 32])
@pytest.mark.parametrize("kind", LOADS)
def test_a_load_takes_as_long_as_in_order_list_scheduling(kind: str, workers: int) -> None:
    """On the mean of a few draws: a single one can come out either way, by who happens to get the longest last."""
    ratios = []
    for seed in range(3):
        durations = LOADS[kind](np.random.default_rng(seed)).tolist()
        ratios.append(Simulation(durations, workers).run() / list_scheduling(durations, workers))
    assert np.mean(ratios) <= 1.03, ratios


def test_a_long_tail_at_the_end_is_shared() -> None:
    """What stands unbegun behind a long mini-batch is taken over, not waited for."""
    durations = [0.01] * 500 + [3.0] + [0.01] * 100
    assert Simulation(durations, 4).run() <= list_scheduling(durations, 4) + 0.1


def test_short_mini_batches_are_granted_many_at_once() -> None:
    """A message per mini-batch would limit rank 0: grants must be far fewer than mini-batches."""
    simulation = Simulation([0.0005] * 5000, 4)
    simulation.run()
    assert simulation.messages < 5000 / 10
