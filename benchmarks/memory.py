"""Large tables go through in flat memory: gigabytes of HDF5 and of Parquet, and no process above 500 MB.

    python -m benchmarks.memory [--quick] [--gigabytes 1] [--rounds 1] [--ranks 2]

The files are made in a temporary folder and deleted. HDF5: rows of 256 numbers in chunks of 4 MB, to a CSV. Parquet:
eight columns of numbers in row groups of 64 MB (pyarrow's default number of rows), to a Parquet file with as many rows.
Mini-batches are those that an input has by default, a chunk or a row group. Peaks are as the kernel keeps them.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import claim
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured
from benchmarks.job import BenchmarkJob

WIDTH, CHUNK = 256, 4096
COLUMNS, GROUP = 8, 1 << 20
SCRIPT = """\
import pandas as pd


def run(mini_batch):
    if isinstance(mini_batch, dict):
        rows = mini_batch["rows"]
        return pd.DataFrame({"mean": rows.mean(axis=1), "most": rows.max(axis=1)})
    return pd.DataFrame({"id": mini_batch["c0"], "sum": mini_batch.sum(axis=1)})
"""


def make_hdf5(path: Path, size: int) -> int:
    """Returns the number of rows."""
    rng = np.random.default_rng(1)
    count = -(-size // (4 * WIDTH * CHUNK))
    with h5py.File(path, "w") as file:
        data = file.create_dataset("rows", (count * CHUNK, WIDTH), "float32", chunks=(CHUNK, WIDTH))
        for place in range(count):
            data[place * CHUNK : (place + 1) * CHUNK] = rng.random((CHUNK, WIDTH), dtype="float32")
    return count * CHUNK


def make_parquet(path: Path, size: int) -> int:
    """Returns the number of rows."""
    rng = np.random.default_rng(2)
    count = -(-size // (8 * COLUMNS * GROUP))
    schema = pa.schema([(f"c{at}", pa.float64()) for at in range(COLUMNS)])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for _ in range(count):
            writer.write_table(pa.Table.from_arrays([pa.array(rng.random(GROUP)) for _ in schema], schema=schema))
    return count * GROUP


def measure(options: argparse.Namespace) -> Measured:
    measured, size = Measured(), int(options.gigabytes * 1e9)
    formats = (("hdf5", make_hdf5, "out.csv"), ("parquet", make_parquet, "out.parquet"))
    peaks: dict[str, list[float]] = {}
    for number in range(options.rounds * len(formats)):
        kind, make, output = formats[number % len(formats)]
        with tempfile.TemporaryDirectory() as name:
            path = Path(name, f"table.{kind}")
            rows = make(path, size)
            inputs = {"table": {"type": kind, "path": path.name}}
            run, processes = BenchmarkJob.write(Path(name), SCRIPT, inputs, append_row_file_name=output).run_watched(
                options.ranks
            )
            assert run.summary["items"]["succeeded"] == rows, run.summary
            print(f"  {kind}: {path.stat().st_size / 1e9:.2f} GB, {rows:,} rows, {run.seconds:.1f} s", flush=True)
        for role in ("executor", "rank 0", "rank 1"):
            largest = max((process.peak / 1e6 for process in processes if process.role == role), default=0.0)
            peaks.setdefault(f"{kind}, {role}", []).append(largest)
    measured.figures = [Figure(what, values, "{:,.0f} MB", at_most=500) for what, values in peaks.items()]
    return measured


if __name__ == "__main__":
    claim.main(__doc__, measure, {"gigabytes": Size(1.0, 0.2), "rounds": Size(1, 1)})
