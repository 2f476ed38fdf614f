"""Mini-batches that do nothing are handed out faster than by anybody else, with isolation, log and order on.

    python -m benchmarks.dispatch [--quick] [--mini-batches 200000] [--rounds 3] [--ranks 2]

One file a mini-batch, which nobody opens. Rates: for mpibatch of `seconds.processing` in summary.json, from the first
grant to the output file closed; for a peer from the first item to the last row in a file.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import claim, peers
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured, bar_chart, ratios
from benchmarks.job import BenchmarkJob
from benchmarks.peers import FAR_BEHIND, POOL
from benchmarks.rounds import in_turn

SCRIPT = "def run(mini_batch):\n    return mini_batch\n"
RATE = "{:,.0f} mini-batches/s"


def no_op(mini_batch: list[str]) -> list[str]:
    return mini_batch


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    paths = [f"/data/scans/{number:08d}.png" for number in range(options.mini_batches)]
    items = [[path] for path in paths]
    with tempfile.TemporaryDirectory() as name:
        job = BenchmarkJob.of_paths(Path(name), SCRIPT, paths, 1)

        def ours() -> float:
            run = job.run(options.ranks)
            assert run.output.read_text() == "\n".join(paths) + "\n"
            return len(paths) / run.seconds

        ways: dict[str, Callable[[], float]] = {"mpibatch": ours}
        for peer in peers.installed(measured.notes):
            ways[peer.name] = partial(peers.rate, peer, no_op, items, options.ranks)
        found = in_turn(ways, options.rounds, measured.notes, FAR_BEHIND)
    measured.figures = [Figure(who, rates, RATE) for who, rates in found.items()]
    if POOL.name in found:
        times = ratios(found, "mpibatch", POOL.name)
        measured.figures.append(Figure(f"mpibatch, of {POOL.name}", times, "{:.2f} times", at_least=4))
    heights = {figure.what: figure.median for figure in measured.figures if figure.shown == RATE}
    measured.charts = [bar_chart("Mini-batches that do nothing", "mini-batches a second", heights)]
    return measured


if __name__ == "__main__":
    claim.main(__doc__, measure, {"mini-batches": Size(200_000, 20_000)})
