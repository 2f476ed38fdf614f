"""What the results log and order cost, and how many MB/s of output go through rank 0.

    python benchmarks/journal.py [--rounds 5] [--mini-batches 100000] [--ranks 2]

Whole jobs: the same job is run with the log and assembly as they are, and with a recorder that writes neither log nor
output, in turn; the ratio of each round's times of processing and its median are printed, for mini-batches that do
nothing and for mini-batches of 10 ms. Rank 0 alone: results of 64 KB each are handed to the recorder as fast as it
takes them, in plan order and out of order, until the output is complete and on the disk.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mpibatch.config.load import load_job
from mpibatch.config.schema import Input, InputType, RowFormat, Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.launching.mpi import Mpi, find_mpi, start_words
from mpibatch.output import open_writer
from mpibatch.runs.assembly import Assembly
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.history import History
from mpibatch.runs.lease import acquire
from mpibatch.runs.log import ResultsLog
from mpibatch.runs.outcomes import ATTEMPT_DTYPE
from mpibatch.runs.plan import Plan
from mpibatch.runs.record import Opened, Wishes, begin, job_of
from mpibatch.runs.recorder import Recorder

SCRIPTS = {
    "no-op": "def run(mini_batch):\n    return mini_batch\n",
    "10 ms": "import time\n\ndef run(mini_batch):\n    time.sleep(0.01)\n    return mini_batch\n",
}


def prepare(folder: Path, script: str, count: int) -> Path:
    folder.mkdir()
    (folder / "paths.txt").write_text("".join(f"/data/scans/{number:08d}.png\n" for number in range(count)))
    (folder / "score.py").write_text(script)
    inputs = {"scans": {"type": "files", "path": {"manifest": "paths.txt"}}}
    settings = {"entry_script": "score.py", "mini_batch_size": 1}
    job = folder / "job.yaml"
    job.write_text(json.dumps({"name": "journal", "inputs": inputs, "parallel_run_config": settings}))
    return job


def processing(job: Path, mpi: Mpi, ranks: int, journal: bool) -> float:
    """Seconds from the first grant to the output closed, or, without, to the last outcome."""
    run = job.parent / f"run-{time.monotonic_ns()}"
    begin(load_job(job), run, sys.argv)
    rank = [sys.executable, __file__, "rank", "with" if journal else "without", str(run)]
    subprocess.run([*start_words(mpi, ranks), *rank], check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "completed", summary
    return float(summary["seconds"]["processing"])


def be_a_rank(journal: bool, run: str) -> int:
    """What mpirun starts. Without: rank 0's writes are turned off; what is counted for the summary stays."""
    from mpibatch.mpi.lifeline import Lifeline
    from mpibatch.mpi.session import run_rank

    if not journal:
        ResultsLog.append = lambda self, type, count, *parts: 0  # type: ignore[method-assign]
        ResultsLog.sync = lambda self: None  # type: ignore[method-assign]
        Recorder.assemble = lambda self: (False, [])  # type: ignore[method-assign]
        Recorder.checkpoint = lambda self: None  # type: ignore[method-assign]
        Assembly.finish = lambda self: None  # type: ignore[method-assign]
    directory = RunDirectory(Path(run))
    return run_rank(lambda: Opened(job_of(directory), directory, Wishes()), os.environ, Lifeline.to_parent(60))


def ratios(folder: Path, name: str, count: int, rounds: int, mpi: Mpi, ranks: int) -> list[float]:
    """Time with / time without, a round each; which comes first alternates."""
    job = prepare(folder / name.replace(" ", "-"), SCRIPTS[name], count)
    found = []
    for number in range(rounds):
        seconds = {journal: processing(job, mpi, ranks, journal) for journal in (True, False)[:: 1 - 2 * (number % 2)]}
        found.append(seconds[True] / seconds[False])
        rate = count / seconds[True]
        print(f"  {name}: {seconds[True]:.3f} s with, {seconds[False]:.3f} s without ({rate:,.0f} mini-batches/s)")
    return found


def through_rank_0(folder: Path, megabytes: int, size: int, ordered: bool) -> float:
    """MB/s into the log, and from it into the output, fsync included."""
    directory = create_at(folder / f"run-{time.monotonic_ns()}")
    count = megabytes * 1_000_000 // size
    manifest = folder / "paths.txt"  # a manifest's paths need not exist
    manifest.write_text("".join(f"/data/{number}\n" for number in range(count)))
    datasets = [open_dataset(Input("files", InputType.FILES, manifest=str(manifest)), Size(1, Unit.ITEMS), ())]
    history = History.none(Plan.build(datasets, map))
    lease = acquire(directory)
    writer = open_writer("out.txt", RowFormat())
    recorder = Recorder(directory, history, datasets, writer, directory.outputs / "out.txt", lease)
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
        recorder.note(1, records, rows)
        recorder.accept(records, rows, np.ones(len(records), dtype=bool))
        recorder.assemble()
        if first % (group * 256) == 0:
            recorder.sync()
    while recorder.assemble()[0]:
        pass
    recorder.finish()
    seconds = time.perf_counter() - began
    recorder.close(keep=False)
    lease.release()
    assert (directory.outputs / "out.txt").stat().st_size == count * size
    return count * size / seconds / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mini-batches", type=int, default=100_000, help="of the no-op job")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured [default: a temporary one]")
    if sys.argv[1:2] == ["rank"]:
        sys.exit(be_a_rank(sys.argv[2] == "with", sys.argv[3]))
    options = parser.parse_args()
    mpi = find_mpi(os.environ)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        found = {
            "no-op": ratios(folder, "no-op", options.mini_batches, options.rounds, mpi, options.ranks),
            "10 ms": ratios(folder, "10 ms", 500 * options.ranks, options.rounds, mpi, options.ranks),
        }
        rates = {
            what: through_rank_0(folder, options.megabytes, 1 << 16, what == "in order") for what in ("in order", "any")
        }
    for what, values in found.items():
        cost = statistics.median(values) - 1
        print(f"log and order, {what:6} {cost:+.1%} of the time without ({min(values):.3f} to {max(values):.3f})")
    for what, rate in rates.items():
        print(f"through rank 0, {what:9} {rate:,.0f} MB/s")


if __name__ == "__main__":
    main()
