"""How many no-op mini-batches of one file a second: mpibatch with isolation, log and order on, beside multiprocessing.

    python benchmarks/dispatch.py [--mini-batches 200000] [--rounds 3] [--ranks 2]

Both run the same function over the same paths with two processes at work, in turn, in one run of this program; the
ratio of each round and its median are printed. mpibatch's time is `seconds.processing` of summary.json: from the first
grant to the output file closed. multiprocessing's is from the first result asked for to the last one written to a file.
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = "def run(mini_batch):\n    return mini_batch\n"


def no_op(mini_batch: list[str]) -> list[str]:
    return mini_batch


def by_mpibatch(folder: Path, ranks: int) -> float:
    """Seconds of processing."""
    subprocess.run(
        [sys.executable, "-m", "mpibatch", "run", str(folder / "job.yaml"), "-n", str(ranks)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    summary = json.loads((folder / "runs" / "latest" / "summary.json").read_text())
    assert summary["status"] == "completed", summary
    return float(summary["seconds"]["processing"])


def by_pool(paths: list[str], output: Path, processes: int) -> float:
    """Seconds from the first mini-batch to the last row written."""
    with multiprocessing.Pool(processes) as pool, output.open("w") as file:
        pool.map(no_op, [[path] for path in paths[:100]])  # the processes are up
        began = time.perf_counter()
        for rows in pool.imap(no_op, ([path] for path in paths), chunksize=1):
            file.writelines(row + "\n" for row in rows)
        file.flush()
        return time.perf_counter() - began


def prepare(folder: Path, count: int) -> list[str]:
    """A job over `count` paths by manifest; a no-op opens none of them."""
    paths = [f"/data/scans/{number:08d}.png" for number in range(count)]
    (folder / "paths.txt").write_text("\n".join(paths) + "\n")
    (folder / "noop.py").write_text(SCRIPT)
    job = {
        "name": "dispatch",
        "inputs": {"scans": {"type": "files", "path": {"manifest": "paths.txt"}}},
        "parallel_run_config": {"entry_script": "noop.py", "mini_batch_size": 1},
    }
    (folder / "job.yaml").write_text(json.dumps(job))  # JSON is YAML
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mini-batches", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"mpibatch": [], "multiprocessing": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = prepare(folder, options.mini_batches)
        for _ in range(options.rounds):
            rates["mpibatch"].append(options.mini_batches / by_mpibatch(folder, options.ranks))
            assert (folder / "runs/latest/outputs/parallel_run_step.txt").read_text() == "\n".join(paths) + "\n"
            rates["multiprocessing"].append(options.mini_batches / by_pool(paths, folder / "pool.txt", options.ranks))
    ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
    for who, found in rates.items():
        print(f"{who:16} {statistics.median(found):10,.0f} mini-batches/s  ({min(found):,.0f} to {max(found):,.0f})")
    print(f"{'ratio':16} {statistics.median(ratios):10.2f}                  ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
