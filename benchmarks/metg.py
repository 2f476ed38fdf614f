"""METG: how short a mini-batch may be until half of the time is lost, for mpibatch and for others who hand out work.

    python -m benchmarks.metg [--quick] [--seconds 1.0] [--rounds 2] [--ranks 2] [--many 16]

The minimum effective task granularity of Task Bench (Slaughter et al., SC20): mini-batches of fewer and fewer turns of
an empty loop, `--seconds` of such work for each executor, and the share of the time that is work, told from how long
the turns take in plain loops side by side. METG(50%) is the work of a mini-batch where that share is a half, between
the two points measured next to it. mpibatch is measured with `--many` ranks too, once and coarser, and with ten times
the work at each point: they share the cores, also while they start.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks import claim, peers
from benchmarks.claim import Size
from benchmarks.figures import Chart, Figure, Measured
from benchmarks.job import BenchmarkJob
from benchmarks.peers import METAL, Peer, PeerFailed

HALF = 0.5
COARSEST, FINEST = 16e-3, 4e-6  # seconds of work a mini-batch
LOST = 0.3  # a share below which nothing finer is measured
MANY_TIMES = 10  # the work at each point with many ranks
SCRIPT = """
from benchmarks.metg import turn

def run(mini_batch):
    return turn({turns})
"""

Curve = list[tuple[float, float]]  # (seconds of work a mini-batch, share of the time that is work), the coarsest first


def turn(turns: int) -> list[str]:
    """An empty loop."""
    for _ in range(turns):
        pass
    return ["."]


def turns_a_second(ranks: int) -> float:
    """Of each of so many loops side by side."""
    turns, items = 20_000, 1000 * ranks
    return turns * items / ranks / peers.run(METAL, turn, [[turns] * items], ranks)[0]


def grains(factor: int = 2) -> list[float]:
    """From COARSEST to FINEST, each `factor` times as fine as the one before."""
    return [COARSEST / factor**step for step in range(int(math.log(COARSEST / FINEST, factor)) + 1)]


def metg(curve: Curve) -> float:
    """Seconds of work a mini-batch where half of the time is work, between two points of the curve on a log scale."""
    for (coarse, above), (fine, below) in pairwise(curve):
        if above >= HALF > below:
            part = (above - HALF) / (above - below)
            return coarse * math.pow(fine / coarse, part)
    return curve[-1][0] if curve[-1][1] >= HALF else curve[0][0]


def by_mpibatch(folder: Path, ranks: int, seconds: float, speed: float, factor: int = 2) -> Curve:
    """seconds: of work for each core, as far as there are no more than `ranks`"""
    curve: Curve = []
    at_once = min(ranks, len(os.sched_getaffinity(0)))
    for grain in grains(factor):
        count = max(1, round(seconds * at_once / grain))
        script = SCRIPT.format(turns=round(grain * speed))
        job = BenchmarkJob.write(folder, script, mini_batch_count=count)
        curve.append((grain, count * grain / at_once / job.run(ranks).seconds))
        if curve[-1][1] < LOST:
            break
    return curve


def by_peer(peer: Peer, options: argparse.Namespace, speed: float) -> Curve:
    counts = [max(1, round(options.seconds * options.ranks / grain)) for grain in grains()]
    series = [[round(grain * speed)] * count for grain, count in zip(grains(), counts, strict=True)]
    seconds = peers.run(peer, turn, series, options.ranks, limit=options.seconds / LOST)
    return [
        (grain, count * grain / options.ranks / took)
        for grain, count, took in zip(grains(), counts, seconds, strict=False)
    ]


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    curves: dict[str, list[Curve]] = {"mpibatch": []}
    others = peers.installed(measured.notes)
    with tempfile.TemporaryDirectory() as name:
        for _ in range(options.rounds):
            speed = turns_a_second(options.ranks)
            curves["mpibatch"].append(by_mpibatch(Path(name), options.ranks, options.seconds, speed))
            for peer in list(others):
                try:
                    curves.setdefault(peer.name, []).append(by_peer(peer, options, speed))
                except PeerFailed as error:
                    measured.notes.append(f"{peer.name} is left out: {error}")
                    others.remove(peer)
            print("  ", {who: f"{1e6 * metg(found[-1]):.0f} us" for who, found in curves.items() if found}, flush=True)
        many = by_mpibatch(Path(name), options.many, MANY_TIMES * options.seconds, speed, factor=4)
        curves[f"mpibatch, {options.many} ranks"] = [many]
    for who, found in curves.items():
        aim = 50.0 if who == "mpibatch" else None
        if found:
            values = [1e6 * metg(curve) for curve in found]
            measured.figures.append(Figure(f"METG(50%), {who}", values, "{:,.0f} us", at_most=aim))
    lines = {who: middle(found) for who, found in curves.items() if found}
    measured.charts.append(
        Chart("Overhead: how much of the time is work", "work of a mini-batch, microseconds", "share of work", lines)
    )
    return measured


def middle(curves: Sequence[Curve]) -> Curve:
    """Of several rounds the one whose METG is the median, in microseconds."""
    chosen = sorted(curves, key=metg)[len(curves) // 2]
    return [(1e6 * grain, share) for grain, share in chosen]


if __name__ == "__main__":
    sizes = {
        "seconds": Size(1.0, 0.1, "of work for each executor at each point"),
        "rounds": Size(2, 1),
        "many": Size(16, 3, "ranks of the last curve"),
    }
    claim.main(__doc__, measure, sizes)
