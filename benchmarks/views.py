"""A run of a million mini-batches is reported in seconds, and saying where it stands costs a run next to nothing.

    python -m benchmarks.views [--quick] [--mini-batches 1000000] [--long 200000] [--rounds 9] [--ranks 2]

1. A run of no-op mini-batches, and then `mpibatch report`: seconds, and bytes of the page.
2. Runs of them without a launcher, in turn: ranks as they are, and ranks that write no status.json. What the launcher
   does for people is beside that: a look twice a second, and reports that may take a hundredth of the time.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks import claim
from benchmarks.altered import be_a_rank, nothing, run_altered
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured, ratios
from benchmarks.job import ENVIRONMENT, BenchmarkJob
from benchmarks.rounds import in_turn
from mpibatch.mpi.run_monitor import RunMonitor

SCRIPT = "def run(mini_batch):\n    return ['row']\n"


def turn_off() -> None:
    """Ranks say nothing before their end."""
    RunMonitor.progress = lambda self, ready_ranks: None  # type: ignore[method-assign]


def report(job: BenchmarkJob, ranks: int) -> tuple[float, float]:
    """Seconds and MB of the report of a run."""
    directory = job.run(ranks).directory
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mpibatch", "report", str(directory.path)], check=True, env=ENVIRONMENT)
    return time.perf_counter() - began, directory.report.stat().st_size / 1e6


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    with tempfile.TemporaryDirectory() as name:
        job = BenchmarkJob.write(Path(name, "million"), SCRIPT, mini_batch_count=options.mini_batches)
        seconds, size = report(job, options.ranks)
        measured.figures = [
            Figure(f"report of {options.mini_batches:,} mini-batches", [seconds], "{:.2f} s", at_most=10),
            Figure("its size", [size], "{:.2f} MB", at_most=5),
        ]
        long = BenchmarkJob.write(Path(name, "long"), SCRIPT, mini_batch_count=options.long)

        def run_seconds(alteration: str) -> float:
            return run_altered(long, options.ranks, "benchmarks.views", alteration).seconds

        ways = {alteration: partial(run_seconds, alteration) for alteration in ALTERATIONS}
        found = in_turn(ways, options.rounds, measured.notes)
    costs = [ratio - 1 for ratio in ratios(found, "seen", "unseen")]
    measured.figures.append(Figure("saying where it stands", costs, "{:+.1%} of the time", at_most=0.02))
    return measured


ALTERATIONS = {"seen": nothing, "unseen": turn_off}

if __name__ == "__main__":
    be_a_rank(ALTERATIONS)
    sizes = {
        "mini-batches": Size(1_000_000, 20_000),
        "long": Size(200_000, 40_000, "mini-batches of the runs whose cost is measured"),
        "rounds": Size(9, 1),
    }
    claim.main(__doc__, measure, sizes)
