"""How many workers one coordinator can keep busy: the real scheduler, 10,000 simulated workers, a simulated clock.

    python benchmarks/capacity.py [--workers 10000] [--rounds 20]

A discrete-event simulation: every worker runs one mini-batch at a time from what it was granted, sends its result as
soon as it has it, and messages take a millisecond. Rank 0 takes them one after another, and its clock goes on by the
time that the real Scheduler needed for each, as measured here, and by MESSAGE_SECONDS for each message that it
receives or sends, which is what MPI and pickle cost (measured with two ranks; see benchmarks/README.md). So a
coordinator that cannot keep up shows as workers that wait.

For each mean duration of a mini-batch it prints how busy the workers were, how busy rank 0 was, and the mini-batches a
second. Durations are exponential around their mean: no two workers stay in step.
"""

import argparse
import heapq
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from mpibatch.scheduling.scheduler import Action, Finish, Grant, Policy, Recall, Scheduler
from mpibatch.types import ATTEMPT_FIELDS, Cause

ATTEMPT_DTYPE = np.dtype(ATTEMPT_FIELDS)
LATENCY = 0.001  # seconds a message takes, one way
MESSAGE_SECONDS = 10e-6  # of rank 0, for each message received or sent
FLUSH_SECONDS = 0.002  # results of short mini-batches wait so long to travel together
MEANS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(slots=True)
class Worker:
    backlog: deque[int] = field(default_factory=deque)
    running: int | None = None
    results: list[int] = field(default_factory=list)  # not sent yet
    sending: bool = False
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one simulated run. busy, coordinator: parts of the run's time; decisions: seconds in the scheduler."""

    seconds: float
    mini_batches: int
    messages: int
    busy: float
    coordinator: float
    decisions: float


class Simulation:
    def __init__(self, durations: NDArray[np.float64], workers: int) -> None:
        self.durations = durations
        self.scheduler = Scheduler(len(durations), Policy())
        self.workers = [Worker() for _ in range(workers)]
        self.events: list[tuple[float, int, str, int, object]] = []
        self.order = count()
        self.now = 0.0
        self.free_at = 0.0  # when rank 0 has done with all it has received
        self.worked = 0.0
        self.decisions = 0.0
        self.messages = 0
        self.finished: float | None = None

    def at(self, when: float, what: str, rank: int, value: object = None) -> None:
        heapq.heappush(self.events, (when, next(self.order), what, rank, value))

    def run(self) -> Figures:
        self.scheduler.begin()
        for rank in range(len(self.workers)):
            self.at(0.0, "report", rank, "joined")
        while self.finished is None:
            self.now, _, what, rank, value = heapq.heappop(self.events)
            worker = self.workers[rank]
            if what == "report":
                self.decide(rank, value)
            elif what == "order":
                self.obey(worker, rank, value)
            elif what == "done":
                assert worker.running is not None
                worker.results.append(worker.running)
                worker.running = None
                if not worker.sending:
                    worker.sending = True
                    self.at(self.now + FLUSH_SECONDS, "flush", rank)
            else:
                worker.sending = False
                self.at(self.now + LATENCY, "report", rank, worker.results)
                worker.results = []
            if worker.running is None and worker.backlog:
                worker.running = worker.backlog.popleft()
                worker.busy += self.durations[worker.running]
                self.at(self.now + self.durations[worker.running], "done", rank)
        busy = sum(worker.busy for worker in self.workers) / (len(self.workers) * self.finished)
        return Figures(
            self.finished, len(self.durations), self.messages, busy, self.worked / self.finished, self.decisions
        )

    def decide(self, rank: int, value: object) -> None:
        """Rank 0 takes a report when it is free; what follows from it leaves when it has decided."""
        began = time.thread_time()
        actions = self.ask(rank, value)
        taken = time.thread_time() - began  # not while other processes have the core
        self.decisions += taken
        self.messages += 1 + len(actions)
        cost = taken + MESSAGE_SECONDS * (1 + len(actions))
        self.worked += cost
        self.free_at = max(self.free_at, self.now) + cost
        for action in actions:
            if isinstance(action, Grant | Recall):
                self.at(self.free_at + LATENCY, "order", action.rank, action)
            else:
                assert isinstance(action, Finish)
                self.finished = self.free_at

    def ask(self, rank: int, value: object) -> Sequence[Action]:
        if value == "joined":
            return self.scheduler.joined(rank)
        if isinstance(value, tuple):
            return self.scheduler.returned(rank, list(value), asked=True)
        assert isinstance(value, list)
        records = np.zeros(len(value), dtype=ATTEMPT_DTYPE)
        records["index"], records["items"], records["succeeded"], records["cause"] = value, 1, 1, Cause.SUCCEEDED
        records["run"] = self.durations[value]
        return self.scheduler.attempts(rank, records)[1]

    def obey(self, worker: Worker, rank: int, order: object) -> None:
        if isinstance(order, Grant):
            worker.backlog.extend(range(order.first, order.first + order.count))
        else:
            assert isinstance(order, Recall)
            given = tuple(worker.backlog.pop() for _ in range(min(order.count, len(worker.backlog))))
            self.at(self.now + LATENCY, "report", rank, given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20, help="mini-batches for each worker, on average")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    print(f"{options.workers:,} workers, {options.rounds} mini-batches each; the last ones of a run are its tail\n")
    print("mean       workers   rank 0   mini-batches/s   messages   decision")
    for mean in MEANS:
        durations = random.exponential(mean, options.workers * options.rounds)
        got = Simulation(durations, options.workers).run()
        print(
            f"{mean:5.2f} s   {got.busy:7.0%}   {got.coordinator:6.0%}   {got.mini_batches / got.seconds:14,.0f}"
            f"   {got.messages:8,}   {1e6 * got.decisions / got.messages:5.1f} us a message",
            flush=True,
        )


if __name__ == "__main__":
    main()
