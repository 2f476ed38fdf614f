"""Longer mini-batches lose nothing to isolation, log and order, and a heavy tail is shared out as well as can be.

    python -m benchmarks.work [--quick] [--mini-batches 2000] [--sleeps 400] [--rounds 5] [--ranks 2]

Even: mini-batches that burn 10 ms of processor time each, beside plain loops side by side (the metal) and a pool.
Heavy tail: sleeps, log-normal, the longest 1 s, on four executors, so that cores matter little. The yardstick is list
scheduling in order without overhead (Graham, 1966), of the durations that each way measured itself.
"""

import argparse
import heapq
import random
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import claim, peers
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured, ratios
from benchmarks.job import BenchmarkJob
from benchmarks.peers import METAL, POOL
from benchmarks.rounds import in_turn

SECONDS = 0.01
EXECUTORS = 4  # of the heavy tail
SCRIPT = """
from benchmarks.work import {function}

def run(mini_batch):
    return {function}(float(mini_batch[0].rsplit("_", 1)[1]))
"""


def burn(seconds: float) -> list[str]:
    """Uses the processor for so long."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(500))
    return ["done"]


def sleep(seconds: float) -> list[str]:
    """Returns how long it took in fact."""
    began = time.perf_counter()
    time.sleep(seconds)
    return [str(time.perf_counter() - began)]


def listed(durations: list[float], workers: int) -> float:
    """The makespan of list scheduling in the order given."""
    free = [0.0] * workers
    for seconds in durations:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def job_over(folder: Path, function: str, durations: list[float]) -> BenchmarkJob:
    paths = [f"/x/{number:05d}_{seconds:.6f}" for number, seconds in enumerate(durations)]
    return BenchmarkJob.of_paths(folder / function, SCRIPT.format(function=function), paths, 1)


def even(options: argparse.Namespace, folder: Path, measured: Measured) -> None:
    durations = [SECONDS] * options.mini_batches
    job = job_over(folder, "burn", durations)
    ways = {
        "mpibatch": lambda: len(durations) / job.run(options.ranks).seconds,
        METAL.name: lambda: peers.rate(METAL, burn, durations, options.ranks),
        POOL.name: lambda: peers.rate(POOL, burn, durations, options.ranks),
    }
    found = in_turn(ways, options.rounds, measured.notes)
    for who, aim in (("mpibatch", 0.98), (POOL.name, None)):
        shares = ratios(found, who, METAL.name)
        measured.figures.append(Figure(f"10 ms each, {who}", shares, "{:.1%} of the metal", at_least=aim))


def heavy_tail(options: argparse.Namespace, folder: Path, measured: Measured) -> None:
    draw = random.Random(7)
    durations = [min(draw.lognormvariate(-5.2, 1.4), 1.0) for _ in range(options.sleeps)]
    job = job_over(folder, "sleep", durations)

    def ours() -> float:
        run = job.run(EXECUTORS)
        events = pq.read_table(run.directory.events.with_suffix(".parquet"), columns=["index", "run"]).to_pydict()
        slept = [seconds for _, seconds in sorted(zip(events["index"], events["run"], strict=True))]
        return run.seconds / listed(slept, EXECUTORS) - 1

    def by_pool() -> float:
        rows = folder / "rows.txt"
        seconds = peers.run(POOL, sleep, [durations], EXECUTORS, rows=rows)[0]
        return seconds / listed([float(row) for row in rows.read_text().split()], EXECUTORS) - 1

    found = in_turn({"mpibatch": ours, POOL.name: by_pool}, options.rounds, measured.notes)
    for who, over in found.items():
        aim = 0.01 if who == "mpibatch" else None
        measured.figures.append(Figure(f"heavy tail, {who}", over, "{:+.1%} on list scheduling", at_most=aim))


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    with tempfile.TemporaryDirectory() as name:
        even(options, Path(name), measured)
        heavy_tail(options, Path(name), measured)
    return measured


if __name__ == "__main__":
    claim.main(__doc__, measure, {"mini-batches": Size(2000, 60), "sleeps": Size(400, 40), "rounds": Size(5, 1)})
