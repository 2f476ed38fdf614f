"""A CSV scored to a CSV: mpibatch beside multiprocessing.Pool.imap with pandas' writer, and beside one plain loop.

    python -m benchmarks.table [--megabytes 500] [--rounds 3] [--ranks 2]

All three read slices of 1 MB with pyarrow and compute the same two columns with pandas, in turn, in one run of this
program; pool and loop are told where to cut. They differ in who writes: in the pool and the loop each process calls
DataFrame.to_csv and one process puts the pieces into a file; mpibatch keeps its log, order and isolation. Processes
are up before the clock starts. Printed are rates, ratios of each round, and the peak memory of rank 0.
"""

import argparse
import io
import json
import multiprocessing
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from benchmarks import watch

SLICE = 1 << 20
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
        while ends[-1] + SLICE < size:
            file.seek(ends[-1] + SLICE)
            file.readline()
            ends.append(file.tell())
    ends.append(size)
    return [(str(path), first, last, first == 0) for first, last in pairwise(ends) if last > first]


def scored(place: tuple[str, int, int, bool]) -> str:
    """One slice, read, scored and written as text by pandas."""
    path, first, last, header = place
    with open(path, "rb") as file:
        file.seek(first)
        data = file.read(last - first)
    names = None if header else ["id", "name", *"abcd"]
    options = csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names)
    frame = csv.read_csv(io.BytesIO(data), options).to_pandas()
    result: pd.DataFrame = score(frame)  # type: ignore[operator]
    return str(result.to_csv(index=False, header=False))


def by_loop(places: list[tuple[str, int, int, bool]], output: Path) -> float:
    began = time.perf_counter()
    with output.open("w") as file:
        file.write("id,score\n")
        file.writelines(map(scored, places))
    return time.perf_counter() - began


def by_pool(places: list[tuple[str, int, int, bool]], output: Path, processes: int) -> float:
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(scored, places[: 2 * processes], chunksize=1)  # the processes are up, and have imported all
        began = time.perf_counter()
        with output.open("w") as file:
            file.write("id,score\n")
            file.writelines(pool.imap(scored, places, chunksize=1))
        return time.perf_counter() - began


def by_mpibatch(folder: Path, ranks: int) -> tuple[float, int]:
    """Seconds of processing, and the peak memory of rank 0 in bytes."""
    processes = watch.mpibatch("run", folder / "job.yaml", "-n", ranks)
    summary = json.loads((folder / "runs" / "latest" / "summary.json").read_text())
    assert summary["status"] == "completed", summary
    return float(summary["seconds"]["processing"]), max(entry.peak for entry in processes if entry.role == "rank 0")


def check(folder: Path, output: Path) -> None:
    """All three have the same rows."""
    ours, theirs = (pd.read_csv(path) for path in (folder / "runs/latest/outputs/scores.csv", output))
    pd.testing.assert_frame_equal(ours, theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"mpibatch": [], "pool": [], "loop": []}
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "rows.csv", options.megabytes << 20)
        (folder / "score.py").write_text(SCRIPT)
        job = {
            "name": "table",
            "inputs": {"rows": {"type": "csv", "path": "rows.csv"}},
            "parallel_run_config": {"entry_script": "score.py", "append_row_file_name": "scores.csv"},
        }
        (folder / "job.yaml").write_text(json.dumps(job))  # JSON is YAML
        places = cuts(folder / "rows.csv")
        for round in range(options.rounds):
            took, peak = by_mpibatch(folder, options.ranks)
            seconds["mpibatch"].append(took)
            peaks.append(peak)
            seconds["pool"].append(by_pool(places, folder / "pool.csv", options.ranks))
            seconds["loop"].append(by_loop(places, folder / "loop.csv"))
            if round == 0:
                check(folder, folder / "pool.csv")
    for who, found in seconds.items():
        rate = options.megabytes / statistics.median(found)
        print(f"{who:10} {rate:8.1f} MB/s   {statistics.median(found):6.2f} s ({min(found):.2f} to {max(found):.2f})")
    for who in ("pool", "loop"):
        ratios = [theirs / ours for ours, theirs in zip(seconds["mpibatch"], seconds[who], strict=True)]
        print(f"{'over ' + who:10} {statistics.median(ratios):8.2f}        ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"{'rank 0':10} {max(peaks) / 1e6:8.0f} MB at its peak")


if __name__ == "__main__":
    main()
