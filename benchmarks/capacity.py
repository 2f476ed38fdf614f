"""How many workers one coordinator can keep busy: its real work for 10,000 simulated workers, on a simulated clock.

    python benchmarks/capacity.py [--workers 10000] [--rounds 8]

A discrete-event simulation. Every worker runs one mini-batch at a time from what it was granted and sends its result
as soon as it has it; a message takes a millisecond. Rank 0 takes messages one after another, and does with each what
a coordinator does: the real Scheduler decides, the real Recorder writes events, results log and output to a temporary
folder, grants are filled with descriptors and pickled. Its clock goes on by the processor time that this took, and by
MPI_SECONDS for each message received or sent. So a coordinator that cannot keep up shows as workers that wait.

For each mean duration of a mini-batch it prints how busy workers and rank 0 were until the last mini-batch was granted
(what comes after is the tail, which no coordinator can shorten), and rank 0's time for a message. Durations are
exponential around their mean, so that no two workers stay in step.
"""

import argparse
import heapq
import pickle
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpibatch.config.schema import Input, InputType, RowFormat, Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.execution.messages import Run
from mpibatch.output import open_writer
from mpibatch.runs.directory import create_at
from mpibatch.runs.history import History
from mpibatch.runs.lease import acquire
from mpibatch.runs.plan import Plan
from mpibatch.runs.recorder import Recorder
from mpibatch.scheduling.scheduler import ATTEMPT_DTYPE, Action, Grant, Policy, Recall, Scheduler

LATENCY = 0.001  # seconds a message takes, one way
MPI_SECONDS = 5e-6  # of rank 0 for a message: one of the 205,000 a second of a bare send and receive
FLUSH_SECONDS = 0.002  # results of short mini-batches wait so long to travel together
LOOK = 64  # messages between two looks at the output, as in the coordinator's loop under load
MEANS = (0.1, 0.3, 0.5, 1.0, 3.0, 10.0)
ROW = b"scan-00000000.png: 7\n"


class Rank0:
    """What stands behind the messages: a plan of `total` files, its scheduler, and the files of a run in `folder`."""

    def __init__(self, folder: Path, total: int) -> None:
        manifest = folder / "paths.txt"
        manifest.write_text("".join(f"/data/scans/{number:08d}.png\n" for number in range(total)))
        dataset = open_dataset(Input("scans", InputType.FILES, manifest=str(manifest)), Size(1, Unit.ITEMS))
        directory = create_at(folder / "run")
        self.plan = Plan.build([dataset], map)
        history = History.none(self.plan)
        self.lease = acquire(directory)
        writer = open_writer("rows.txt", RowFormat())
        self.recorder = Recorder(directory, history, [dataset], writer, folder / "rows.txt", self.lease)
        self.scheduler = Scheduler(total, Policy(), history.outcomes.table)
        self._taken = 0

    def joined(self, rank: int) -> list[Action]:
        return self.scheduler.joined(rank)

    def returned(self, rank: int, indices: list[int]) -> list[Action]:
        return self.scheduler.returned(rank, indices, asked=True)

    def results(self, rank: int, records: NDArray[np.void]) -> list[Action]:
        data = ROW * len(records)
        self.recorder.note(rank, records, data)
        final, actions = self.scheduler.attempts(rank, records)
        self.recorder.accept(records, data, final)
        self._taken += 1
        if self._taken % LOOK == 0:
            self.recorder.assemble()
        return actions

    def orders(self, actions: list[Action]) -> None:
        """What goes out, as far as it costs rank 0 anything but MPI."""
        for action in actions:
            if isinstance(action, Grant):
                batches = self.plan.descriptors(action.first, action.count)
                pickle.dumps(Run(batches, action.tries, self.scheduler.window.group, 0), protocol=5)


@dataclass(slots=True)
class Worker:
    backlog: deque[int] = field(default_factory=deque)
    running: int | None = None
    ends: float = 0.0
    busy: float = 0.0
    results: list[int] = field(default_factory=list)  # not sent yet


@dataclass(frozen=True, slots=True)
class Figures:
    """workers, coordinator: the part of the time that they were busy; message: seconds of rank 0 for one."""

    workers: float
    coordinator: float
    message: float
    rate: float  # mini-batches a second


class Simulation:
    """Until the last mini-batch is granted."""

    def __init__(self, rank0: Rank0, durations: NDArray[np.float64], workers: int) -> None:
        self.rank0 = rank0
        self.durations = durations
        self.workers = [Worker() for _ in range(workers)]
        self.events: list[tuple[float, int, str, int, object]] = []
        self.order = count()
        self.now = 0.0
        self.free_at = 0.0  # when rank 0 has done with all it has received
        self.worked = 0.0
        self.messages = 0
        self.granted = 0

    def at(self, when: float, what: str, rank: int, value: object = None) -> None:
        heapq.heappush(self.events, (when, next(self.order), what, rank, value))

    def run(self) -> Figures:
        for rank in range(len(self.workers)):
            self.at(0.0, "report", rank, "joined")
        while self.granted < len(self.durations):
            self.now, _, what, rank, value = heapq.heappop(self.events)
            worker = self.workers[rank]
            if what == "report":
                self.decide(rank, value)
            elif what == "order":
                self.obey(worker, rank, value)
            elif what == "done":
                assert worker.running is not None
                if not worker.results:
                    self.at(self.now + FLUSH_SECONDS, "flush", rank)
                worker.results.append(worker.running)
                worker.running = None
            else:
                self.at(self.now + LATENCY, "report", rank, worker.results)
                worker.results = []
            if worker.running is None and worker.backlog:
                worker.running = worker.backlog.popleft()
                worker.busy += self.durations[worker.running]
                worker.ends = self.now + self.durations[worker.running]
                self.at(worker.ends, "done", rank)
        end = max(self.now, self.free_at)
        busy = sum(worker.busy - max(0.0, worker.ends - end) for worker in self.workers)
        return Figures(
            busy / (end * len(self.workers)), self.worked / end, self.worked / self.messages, self.granted / end
        )

    def decide(self, rank: int, value: object) -> None:
        """Rank 0 takes a report when it is free; what follows from it leaves when it has decided."""
        records = self.records(rank, value) if isinstance(value, list) else None
        began = time.thread_time()  # not while other processes have the core
        if records is not None:
            actions = self.rank0.results(rank, records)
        elif isinstance(value, tuple):
            actions = self.rank0.returned(rank, list(value))
        else:
            actions = self.rank0.joined(rank)
        self.rank0.orders(actions)
        cost = time.thread_time() - began + MPI_SECONDS * (1 + len(actions))
        self.messages += 1 + len(actions)
        self.worked += cost
        self.free_at = max(self.free_at, self.now) + cost
        for action in actions:
            assert isinstance(action, Grant | Recall)
            self.granted += action.count if isinstance(action, Grant) else 0
            self.at(self.free_at + LATENCY, "order", action.rank, action)

    def records(self, rank: int, indices: list[int]) -> NDArray[np.void]:
        """As they come from a worker's message."""
        records = np.zeros(len(indices), dtype=ATTEMPT_DTYPE)
        records["index"], records["items"], records["succeeded"], records["tries"] = indices, 1, 1, 1
        records["rank"], records["row_bytes"], records["run"] = rank, len(ROW), self.durations[indices]
        return records

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
    parser.add_argument("--rounds", type=int, default=8, help="mini-batches for each worker, on average")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    print(f"{options.workers:,} workers, {options.rounds} mini-batches for each\n")
    print("a mini-batch   workers busy   rank 0 busy   mini-batches/s   rank 0, a message")
    for mean in MEANS:
        durations = random.exponential(mean, options.workers * options.rounds)
        with tempfile.TemporaryDirectory() as folder:
            rank0 = Rank0(Path(folder), len(durations))
            got = Simulation(rank0, durations, options.workers).run()
            rank0.lease.release()
        print(
            f"{mean:10.2f} s   {got.workers:12.0%}   {got.coordinator:11.0%}   {got.rate:14,.0f}"
            f"   {1e6 * got.message:14.0f} us",
            flush=True,
        )


if __name__ == "__main__":
    main()
