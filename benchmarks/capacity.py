"""One coordinator keeps ten thousand workers busy, and a hundred thousand where mini-batches are longer.

    python -m benchmarks.capacity [--quick] [--workers 10000] [--each 8]

A discrete-event simulation of its real work on a simulated clock. Every worker runs one mini-batch at a time from what
it was granted and sends its result as soon as it has it; a message takes a millisecond. Rank 0 looks again and again,
takes what has arrived, and does with it what a coordinator does: reports are unpickled, the real Scheduler decides,
the real RunWriter writes events, results log and output to a temporary folder, grants are filled with descriptors and
pickled. Its clock goes on by the processor time that this took, and by MPI_SECONDS for each message received or sent.
So a coordinator that cannot keep up shows as workers that wait.

Told is how busy workers and rank 0 were from when a quarter of the mini-batches was granted (all workers come at once)
to when the last was (what comes after is the tail, which no coordinator can shorten), and rank 0's time for a message.
Durations are exponential around their mean, so that no two workers stay in step.
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

from benchmarks import claim
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured
from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input, RowFormat, RunConfig
from mpibatch.config.values import Size as BatchSize
from mpibatch.config.values import Unit
from mpibatch.datasets import open_dataset
from mpibatch.executor.result_pipe import HELD_SECONDS, LONG_SECONDS
from mpibatch.liveness.lease import acquire
from mpibatch.mpi.backoff import COALESCE_FROM, COALESCE_SECONDS
from mpibatch.mpi.gathering import ResultsBatch, gathered
from mpibatch.mpi.transport import MAX_PER_POLL
from mpibatch.output import open_format
from mpibatch.planning.plan import Plan
from mpibatch.runs.directory import create_at
from mpibatch.runs.recovery import RecoveredRun
from mpibatch.runs.run_writer import RunWriter
from mpibatch.scheduling.actions import Action, Grant, Recall
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.worker.messages import ExecuteTasks, Report, Results, TasksReturned, WorkerReady

LATENCY = 0.001  # seconds a message takes, one way
MPI_SECONDS = 5e-6  # of rank 0 for a message: one of the 205,000 a second of a bare send and receive
POLL_EVERY = 64  # messages between two looks at the output, as in the coordinator's loop under load
CASES = ((1, 0.3), (1, 1.0), (10, 5.0))  # times as many workers, mean seconds of a mini-batch
ROW = b"scan-00000000.png: 7\n"


class Rank0:
    """What stands behind the messages: a plan of `total` files, its scheduler, and the files of a run in `folder`."""

    def __init__(self, folder: Path, total: int) -> None:
        manifest = folder / "paths.txt"
        manifest.write_text("".join(f"/data/scans/{number:08d}.png\n" for number in range(total)))
        dataset = open_dataset(Input("scans", InputType.FILES, manifest=str(manifest)), BatchSize(1, Unit.ITEMS))
        directory = create_at(folder / "run")
        self.plan = Plan.build([dataset], map)
        recovered = RecoveredRun.fresh(self.plan)
        self.lease = acquire(directory.path)
        writer = open_format("rows.txt", RowFormat())
        self.writer = RunWriter(directory, recovered, [dataset], writer, folder / "rows.txt", self.lease)
        self.scheduler = Scheduler(total, SchedulingPolicy.from_config(RunConfig("score.py")), recovered.outcomes.table)
        self._taken = 0

    def look(self, messages: list[tuple[int, bytes]], at_most: int) -> list[Action]:
        """What the coordinator does with all that one look brings; the orders that follow are ready to be sent."""
        actions: list[Action] = []
        reports = [(rank, pickle.loads(message)) for rank, message in messages]
        for rank, report in gathered(reports, at_most):
            match report:
                case ResultsBatch(records, data):
                    self.writer.record_attempts(records, data)
                    made_final, following = self.scheduler.on_attempts(records, report.ranks)
                    self.writer.append_final(records, data, made_final)
                    actions += self.send(following)
                case TasksReturned(indices, asked):
                    actions += self.send(self.scheduler.on_returned(rank, indices, asked))
                case WorkerReady():
                    actions += self.send(self.scheduler.on_worker_ready(rank))
        self._taken += len(messages)
        if self._taken > POLL_EVERY:
            self._taken = 0
            self.writer.assemble()
        return actions

    def send(self, actions: list[Action]) -> list[Action]:
        """What goes out, as far as it costs rank 0 anything but MPI."""
        grants = [action for action in actions if isinstance(action, Grant)]
        self.writer.log_grants(grants)
        for grant in grants:
            batches = self.plan.batches(grant.first, grant.count)
            packet = self.scheduler.packet_size(grant.rank, grant.count)
            pickle.dumps(ExecuteTasks(batches, grant.tries, packet, grant.isolate_items), protocol=5)
        return actions


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


class Simulation:
    """Until the last mini-batch is granted; measured from when a quarter is, since all workers come at once.

    at_most: how many results rank 0 takes together
    """

    def __init__(self, rank0: Rank0, durations: NDArray[np.float64], workers: int, at_most: int) -> None:
        self.rank0 = rank0
        self.durations = durations
        self.workers = [Worker() for _ in range(workers)]
        self.at_most = at_most
        self.events: list[tuple[float, int, str, int, object]] = []
        self.order = count()
        self.now = 0.0
        self.arrived: deque[tuple[int, bytes]] = deque()  # at rank 0, which has not looked yet
        self.looking = False  # a look is due
        self.worked = 0.0
        self.messages = 0
        self.granted = 0

    def at(self, when: float, what: str, rank: int, value: object = None) -> None:
        heapq.heappush(self.events, (when, next(self.order), what, rank, value))

    def report(self, rank: int, report: Report) -> None:
        self.at(self.now + LATENCY, "report", rank, pickle.dumps(report, protocol=5))

    def run(self) -> Figures:
        for rank in range(len(self.workers)):
            self.report(rank, WorkerReady(0.0))
        begun: tuple[float, float, float, int] | None = None  # time, work of the workers and of rank 0, messages
        while self.granted < len(self.durations):
            self.step()
            if begun is None and self.granted >= len(self.durations) / 4:
                begun = (self.now, self.busy(), self.worked, self.messages)
        assert begun is not None
        began, busy, worked, messages = begun
        seconds, worked, messages = self.now - began, self.worked - worked, self.messages - messages
        return Figures((self.busy() - busy) / (seconds * len(self.workers)), worked / seconds, worked / messages)

    def busy(self) -> float:
        """Seconds that all workers have worked."""
        return sum(worker.busy - max(0.0, worker.ends - self.now) for worker in self.workers)

    def step(self) -> None:
        self.now, _, what, rank, value = heapq.heappop(self.events)
        worker = self.workers[rank]
        if what == "report":
            assert isinstance(value, bytes)
            self.arrived.append((rank, value))
            if not self.looking:
                self.looking = True
                self.at(self.now, "look", 0)
        elif what == "look":
            self.look()
        elif what == "order":
            self.handle_order(worker, rank, value)
        elif what == "done":
            assert worker.running is not None
            if not worker.results:
                held = HELD_SECONDS * bool(self.durations[worker.running] < LONG_SECONDS)
                self.at(self.now + held, "flush", rank)
            worker.results.append(worker.running)
            worker.running = None
        else:
            records = self.records(rank, worker.results)
            self.report(rank, Results(records.tobytes(), ROW * len(records)))
            worker.results = []
        if worker.running is None and worker.backlog:
            worker.running = worker.backlog.popleft()
            worker.busy += self.durations[worker.running]
            worker.ends = self.now + self.durations[worker.running]
            self.at(worker.ends, "done", rank)

    def look(self) -> None:
        """Rank 0 takes what has arrived; what follows from it leaves when it has decided, and then it looks again."""
        taken = [self.arrived.popleft() for _ in range(min(MAX_PER_POLL, len(self.arrived)))]
        if not taken:
            self.looking = False
            return
        began = time.thread_time()  # not while other processes have the core
        actions = self.rank0.look(taken, self.at_most)
        cost = time.thread_time() - began + MPI_SECONDS * (len(taken) + len(actions))
        self.messages += len(taken) + len(actions)
        self.worked += cost
        for action in actions:
            assert isinstance(action, Grant | Recall)
            self.granted += action.count if isinstance(action, Grant) else 0
            self.at(self.now + cost + LATENCY, "order", action.rank, action)
        rest = COALESCE_SECONDS if COALESCE_FROM <= len(taken) < MAX_PER_POLL else 0.0
        self.at(self.now + cost + rest, "look", 0)

    def records(self, rank: int, indices: list[int]) -> NDArray[np.void]:
        """As they come from a worker's message."""
        records = np.zeros(len(indices), dtype=ATTEMPT_DTYPE)
        records["index"], records["items"], records["succeeded"], records["tries"] = indices, 1, 1, 1
        records["rank"], records["row_bytes"], records["run"] = rank, len(ROW), self.durations[indices]
        return records

    def handle_order(self, worker: Worker, rank: int, order: object) -> None:
        if isinstance(order, Grant):
            worker.backlog.extend(range(order.first, order.first + order.count))
        else:
            assert isinstance(order, Recall)
            given = [worker.backlog.pop() for _ in range(min(order.count, len(worker.backlog)))]
            self.report(rank, TasksReturned(given, recalled=True))


def simulate(workers: int, mean: float, each: int, at_most: int) -> Figures:
    durations = np.random.default_rng(0).exponential(mean, workers * each)
    with tempfile.TemporaryDirectory() as folder:
        rank0 = Rank0(Path(folder), len(durations))
        found = Simulation(rank0, durations, workers, at_most).run()
        rank0.lease.release()
    return found


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    for times, mean in CASES:
        workers = options.workers * times
        found = [simulate(workers, mean, options.each, MAX_PER_POLL) for _ in range(options.rounds)]
        case = f"{workers:,} workers, {mean:g} s"
        measured.figures += [
            Figure(f"{case}: workers busy", [one.workers for one in found], "{:.0%}", at_least=0.95),
            Figure(f"{case}: rank 0 busy", [one.coordinator for one in found], "{:.0%}"),
            Figure(f"{case}: rank 0, a message", [1e6 * one.message for one in found], "{:.0f} us"),
        ]
        for line in measured.figures[-3:]:
            print(" ", line, flush=True)
    alone = [1e6 * simulate(options.workers, 1.0, options.each, 1).message for _ in range(options.rounds)]
    measured.figures.append(Figure("results one by one: rank 0, a message", alone, "{:.0f} us"))
    return measured


if __name__ == "__main__":
    sizes = {
        "workers": Size(10_000, 500),
        "each": Size(8, 4, "mini-batches for each worker, on average"),
        "rounds": Size(1, 1),
    }
    claim.main(__doc__, measure, sizes)
