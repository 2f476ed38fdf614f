"""The results log and order cost little, and hundreds of MB/s of output go through rank 0.

    python -m benchmarks.journal [--quick] [--mini-batches 100000] [--rounds 3] [--ranks 2] [--folder DISK]

Whole jobs: the same job with the log and assembly as they are, and with a writer that writes neither log nor output;
the cost is of one round, for mini-batches that do nothing and for mini-batches of 10 ms. Rank 0 alone: results of 64 KB
each are handed to the writer as fast as it takes them, in plan order and out of order, until the output is complete and
on the disk.
"""

import argparse
import os
import random
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import claim
from benchmarks.altered import be_a_rank, nothing, run_altered
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured, ratios
from benchmarks.job import BenchmarkJob
from benchmarks.rounds import in_turn
from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input, RowFormat
from mpibatch.config.values import Size as BatchSize
from mpibatch.config.values import Unit
from mpibatch.datasets import open_dataset
from mpibatch.liveness.lease import acquire
from mpibatch.output import open_format
from mpibatch.planning.plan import Plan
from mpibatch.runs.assembly import Assembly
from mpibatch.runs.directory import create_at
from mpibatch.runs.recovery import RecoveredRun
from mpibatch.runs.results_log import ResultsLog
from mpibatch.runs.run_writer import RunWriter

SCRIPTS = {
    "no-op": "def run(mini_batch):\n    return mini_batch\n",
    "10-ms": "import time\n\ndef run(mini_batch):\n    time.sleep(0.01)\n    return mini_batch\n",
}


def turn_off() -> None:
    """Rank 0's writes; what is counted for the summary stays."""
    ResultsLog.append = lambda self, type, count, *parts: 0  # type: ignore[method-assign]
    ResultsLog.sync = lambda self: None  # type: ignore[method-assign]
    RunWriter.assemble = lambda self: (False, [])  # type: ignore[method-assign]
    RunWriter.checkpoint = lambda self: None  # type: ignore[method-assign]
    Assembly.finish = lambda self: None  # type: ignore[method-assign]


def cost(folder: Path, name: str, count: int, options: argparse.Namespace, measured: Measured) -> list[float]:
    """What is lost to log and order, of the time without, a value a round."""
    job = BenchmarkJob.of_paths(folder / name, SCRIPTS[name], [f"/data/{number:08d}.png" for number in range(count)], 1)

    def seconds(alteration: str) -> float:
        return run_altered(job, options.ranks, "benchmarks.journal", alteration).seconds

    ways = {alteration: partial(seconds, alteration) for alteration in ALTERATIONS}
    found = in_turn(ways, options.rounds, measured.notes)
    return [ratio - 1 for ratio in ratios(found, "with", "without")]


def through_rank_0(folder: Path, megabytes: int, size: int, ordered: bool) -> float:
    """MB/s into the log, and from it into the output, fsync included."""
    directory = create_at(folder / f"run-{time.monotonic_ns()}")
    count = megabytes * 1_000_000 // size
    manifest = folder / "paths.txt"  # a manifest's paths need not exist
    manifest.write_text("".join(f"/data/{number}\n" for number in range(count)))
    datasets = [open_dataset(Input("files", InputType.FILES, manifest=str(manifest)), BatchSize(1, Unit.ITEMS), ())]
    recovered = RecoveredRun.fresh(Plan.build(datasets, map))
    lease = acquire(directory.path)
    format = open_format("out.txt", RowFormat())
    writer = RunWriter(directory, recovered, datasets, format, directory.outputs / "out.txt", lease)
    order = np.arange(count)
    if not ordered:
        order = np.array(random.Random(0).sample(range(count), count))
    group = 16
    data = os.urandom(size // 2).hex().encode()[: size - 1] + b"\n"
    began = time.perf_counter()
    for first in range(0, count, group):
        records = np.zeros(len(order[first : first + group]), dtype=ATTEMPT_DTYPE)
        records["index"], records["items"], records["succeeded"] = order[first : first + group], 1, 1
        records["row_bytes"] = size
        rows = data * len(records)
        writer.record_attempts(records, rows)
        writer.append_final(records, rows, np.ones(len(records), dtype=bool))
        writer.assemble()
        if first % (group * 256) == 0:
            writer.sync()
    while writer.assemble()[0]:
        pass
    writer.finish()
    seconds = time.perf_counter() - began
    writer.close(keep=False)
    lease.release()
    assert (directory.outputs / "out.txt").stat().st_size == count * size
    return count * size / seconds / 1e6


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    with tempfile.TemporaryDirectory(dir=options.folder or None) as name:
        folder = Path(name)
        for script, count, aim in (
            ("no-op", options.mini_batches, None),
            ("10-ms", options.slow * options.ranks, 0.03),
        ):
            costs = cost(folder, script, count, options, measured)
            measured.figures.append(Figure(f"log and order, {script}", costs, "{:+.1%} of the time", at_most=aim))
        ways = {
            f"through rank 0, {order}": partial(through_rank_0, folder, options.megabytes, 1 << 16, order == "in order")
            for order in ("in order", "in any order")
        }
        found = in_turn(ways, options.rounds, measured.notes)
    measured.figures += [Figure(what, rates, "{:,.0f} MB/s") for what, rates in found.items()]
    return measured


ALTERATIONS = {"with": nothing, "without": turn_off}

if __name__ == "__main__":
    be_a_rank(ALTERATIONS)
    sizes = {
        "mini-batches": Size(100_000, 10_000, "of the no-op job"),
        "slow": Size(200, 20, "mini-batches of 10 ms for each executor"),
        "megabytes": Size(500, 20, "through rank 0"),
        "folder": Size("", "", "on the disk to be measured, a temporary one if empty"),
    }
    claim.main(__doc__, measure, sizes)
