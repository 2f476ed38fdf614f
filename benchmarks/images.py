"""Short mini-batches of real work, 0.5 ms of Pillow and NumPy, run nearly as fast as plain loops side by side.

    python -m benchmarks.images [--quick] [--batches 8000] [--rounds 5] [--ranks 2]

Ten small PNGs a mini-batch. In turn: plain loops, one a core (the metal), mpibatch and its peers, all of the same
files. The share of the metal is of one round.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import claim, peers
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured, bar_chart, ratios
from benchmarks.job import BenchmarkJob
from benchmarks.peers import FAR_BEHIND, METAL
from benchmarks.rounds import in_turn

FILES_A_BATCH = 10
DISTINCT = 1000
SCRIPT = """
from benchmarks.images import means_of as run
"""


def means_of(batch: Sequence[str]) -> list[str]:
    return [f"{mean_of(path):.3f}" for path in batch]


def mean_of(path: str) -> float:
    with Image.open(path) as image:
        return float(np.asarray(image, dtype=np.float32).mean())


def make_images(folder: Path, count: int) -> list[str]:
    """Small images under `count` names: a manifest may not name a file twice, so they are named through links."""
    rng = np.random.default_rng(7)
    images = folder / "images"
    images.mkdir()
    for number in range(DISTINCT):
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(images / f"{number:04d}.png")
    for again in range(-(-count // DISTINCT)):
        (folder / f"{again:04d}").symlink_to(images, target_is_directory=True)
    return [str(folder / f"{number // DISTINCT:04d}" / f"{number % DISTINCT:04d}.png") for number in range(count)]


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    with tempfile.TemporaryDirectory() as name:
        paths = make_images(Path(name), options.batches * FILES_A_BATCH)
        batches = [paths[first : first + FILES_A_BATCH] for first in range(0, len(paths), FILES_A_BATCH)]
        job = BenchmarkJob.of_paths(Path(name, "job"), SCRIPT, paths, FILES_A_BATCH)
        ways: dict[str, Callable[[], float]] = {"mpibatch": lambda: len(batches) / job.run(options.ranks).seconds}
        for peer in (METAL, *peers.installed(measured.notes)):
            ways[peer.name] = partial(peers.rate, peer, means_of, batches, options.ranks)
        found = in_turn(ways, options.rounds, measured.notes, FAR_BEHIND)
    measured.figures.append(Figure("the metal: plain loops", found[METAL.name], "{:,.0f} mini-batches/s"))
    for who in found:
        if who != METAL.name:
            aim = 0.92 if who == "mpibatch" else None
            shares = ratios(found, who, METAL.name)
            measured.figures.append(Figure(who, shares, "{:.1%} of the metal", at_least=aim))
    heights = {figure.what: figure.median for figure in measured.figures[1:]}
    measured.charts = [bar_chart("Mini-batches of 0.5 ms: ten small PNGs", "share of plain loops", heights)]
    return measured


if __name__ == "__main__":
    claim.main(__doc__, measure, {"batches": Size(8_000, 500), "rounds": Size(5, 1)})
