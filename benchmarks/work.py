"""Real work, and work with a heavy tail: what scheduling, isolation, log and order cost beside none of them.

    python benchmarks/work.py [--rounds 3] [--ranks 2]

Two loads of mini-batches that burn CPU time for a fixed number of seconds each:

    even        600 of 10 ms
    heavy tail  400, log-normal, mean about 15 ms, the longest about 1 s

For each, in turn in one run of this program: one plain loop in one process (its time over the number of ranks is the
ideal of an even load), multiprocessing.Pool.imap with chunksize=1, and mpibatch. For the heavy tail the yardstick is
in-order list scheduling without overhead, computed from the durations that each executor measured. Ratios are of one
round; their medians are printed.
"""

import argparse
import heapq
import json
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

SCRIPT = """
import time

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(500))

def run(mini_batch):
    for path in mini_batch:
        burn(float(path.rsplit("_", 1)[1]))
    return [path.rsplit("/", 1)[1] for path in mini_batch]
"""


def burn(seconds: float) -> float:
    """Uses the processor for so long."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(500))
    return seconds


def even() -> list[float]:
    return [0.01] * 600


def heavy_tail() -> list[float]:
    draw = random.Random(7)
    return [min(draw.lognormvariate(-5.2, 1.4), 1.0) for _ in range(400)]


def by_loop(durations: list[float]) -> float:
    began = time.perf_counter()
    for seconds in durations:
        burn(seconds)
    return time.perf_counter() - began


def by_pool(durations: list[float], processes: int) -> float:
    with multiprocessing.Pool(processes) as pool:
        pool.map(burn, [0.0] * 20)  # the processes are up
        began = time.perf_counter()
        for _ in pool.imap(burn, durations, chunksize=1):
            pass
        return time.perf_counter() - began


def by_mpibatch(durations: list[float], ranks: int, folder: Path) -> tuple[float, float]:
    """Seconds of processing, and what in-order list scheduling of the measured durations would take."""
    (folder / "burn.py").write_text(SCRIPT)
    (folder / "paths.txt").write_text("".join(f"/x/{n:04d}_{d:.6f}\n" for n, d in enumerate(durations)))
    job = {
        "name": "work",
        "inputs": {"loads": {"type": "files", "path": {"manifest": "paths.txt"}}},
        "parallel_run_config": {"entry_script": "burn.py", "mini_batch_size": 1},
    }
    (folder / "job.yaml").write_text(json.dumps(job))
    subprocess.run(
        [sys.executable, "-m", "mpibatch", "run", str(folder / "job.yaml"), "-n", str(ranks)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    run = folder / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "completed", summary
    events = pq.read_table(run / "events.parquet", columns=["index", "run"]).to_pydict()
    measured = [seconds for _, seconds in sorted(zip(events["index"], events["run"], strict=True))]
    return float(summary["seconds"]["processing"]), listed(measured, ranks)


def listed(durations: list[float], workers: int) -> float:
    """The makespan of list scheduling (Graham, 1966) in the order given."""
    free = [0.0] * workers
    for seconds in durations:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    for name, durations in (("even", even()), ("heavy tail", heavy_tail())):
        found: dict[str, list[float]] = {"of the ideal": [], "of the pool": [], "of list scheduling": []}
        for _ in range(options.rounds):
            loop = by_loop(durations)
            pool = by_pool(durations, options.ranks)
            with tempfile.TemporaryDirectory() as folder:
                ours, ideal = by_mpibatch(durations, options.ranks, Path(folder))
            found["of the ideal"].append(loop / options.ranks / ours)
            found["of the pool"].append(pool / ours)
            found["of list scheduling"].append(ideal / ours)
        for what, ratios in found.items():
            print(f"{name:10}  {statistics.median(ratios):6.1%} {what:20} ({min(ratios):.1%} to {max(ratios):.1%})")


if __name__ == "__main__":
    main()
