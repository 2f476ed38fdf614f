"""A CSV is scored to a CSV more than twice as fast as by a pool with pandas' writer, and rank 0 stays small.

    python -m benchmarks.table [--quick] [--megabytes 200] [--rounds 3] [--ranks 2]

All read slices of 1 MB with pyarrow and compute the same two columns with pandas; the peers are told where to cut. They
differ in who writes: a peer's processes call DataFrame.to_csv and one puts the pieces into a file; mpibatch keeps its
log, order and isolation. The rows are compared.
"""

import argparse
import io
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from benchmarks import claim, peers
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured, bar_chart, ratios
from benchmarks.job import BenchmarkJob
from benchmarks.peers import FAR_BEHIND, POOL, Peer
from benchmarks.rounds import in_turn

SPLIT_BYTES = 1 << 20
ROWS_AT_ONCE = 200_000
SCRIPT = """\
import pandas as pd


def run(table):
    score = 0.3 * table["a"] - 1.7 * table["b"] * table["c"] + table["d"]
    return pd.DataFrame({"id": table["id"], "score": score.round(6)})
"""

scope: dict[str, object] = {}
exec(SCRIPT, scope)
score = scope["run"]


def make(path: Path, size: int) -> None:
    """About `size` bytes of numbers and names."""
    rng = np.random.default_rng(3)
    first = 0
    with path.open("wb") as file:
        while file.tell() < size:
            numbers = {name: rng.normal(size=ROWS_AT_ONCE).round(6) for name in "abcd"}
            names = rng.choice(["north", "south", "east", "west"], ROWS_AT_ONCE)
            table = pa.table({"id": np.arange(first, first + ROWS_AT_ONCE), "name": names, **numbers})
            csv.write_csv(table, file, csv.WriteOptions(include_header=first == 0))
            first += ROWS_AT_ONCE


def cuts(path: Path) -> list[tuple[str, int, int, bool]]:
    """Slices at newlines; the last value says whether the header is in it."""
    size, ends = path.stat().st_size, [0]
    with path.open("rb") as file:
        while ends[-1] + SPLIT_BYTES < size:
            file.seek(ends[-1] + SPLIT_BYTES)
            file.readline()
            ends.append(file.tell())
    ends.append(size)
    return [(str(path), first, last, first == 0) for first, last in pairwise(ends) if last > first]


def scored(span: tuple[str, int, int, bool]) -> list[str]:
    """One slice, read, scored and written as text by pandas."""
    path, first, last, header = span
    with open(path, "rb") as file:
        file.seek(first)
        data = file.read(last - first)
    names = None if header else ["id", "name", *"abcd"]
    options = csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names)
    frame = csv.read_csv(io.BytesIO(data), options).to_pandas()
    result: pd.DataFrame = score(frame)  # type: ignore[operator]
    return [str(result.to_csv(index=False, header=False)).removesuffix("\n")]


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "rows.csv", options.megabytes << 20)
        inputs = {"rows": {"type": "csv", "path": "rows.csv"}}
        job = BenchmarkJob.write(folder, SCRIPT, inputs, append_row_file_name="scores.csv")
        spans = cuts(folder / "rows.csv")

        def ours() -> float:
            run, processes = job.run_watched(options.ranks)
            peaks.append(max(process.peak for process in processes if process.role == "rank 0") / 1e6)
            return float(options.megabytes / run.seconds)

        def by(peer: Peer) -> float:
            rows = folder / f"{peer.name}.csv"
            rate = float(options.megabytes / peers.run(peer, scored, [spans], options.ranks, rows=rows)[0])
            check(folder / "runs/latest/outputs/scores.csv", rows)
            return rate

        ways: dict[str, Callable[[], float]] = {"mpibatch": ours}
        for peer in peers.installed(measured.notes):
            ways[peer.name] = partial(by, peer)
        found = in_turn(ways, options.rounds, measured.notes, FAR_BEHIND)
    measured.figures = [Figure(who, rates, "{:,.0f} MB/s") for who, rates in found.items()]
    if POOL.name in found:
        times = ratios(found, "mpibatch", POOL.name)
        measured.figures.append(Figure(f"mpibatch, of {POOL.name}", times, "{:.2f} times", at_least=2.5))
    measured.figures.append(Figure("rank 0 at its peak", peaks, "{:,.0f} MB", at_most=200))
    heights = {who: statistics.median(rates) for who, rates in found.items()}
    measured.charts = [bar_chart("A CSV scored to a CSV", "MB a second", heights)]
    return measured


def check(ours: Path, theirs: Path) -> None:
    """The same rows."""
    pd.testing.assert_frame_equal(pd.read_csv(ours), pd.read_csv(theirs, names=["id", "score"]))


if __name__ == "__main__":
    claim.main(__doc__, measure, {"megabytes": Size(200, 20)})
