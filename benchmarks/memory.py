"""Large tables in flat memory: 2 GB of HDF5 and 2 GB of Parquet run through, with the peak memory of every process.

    python -m benchmarks.memory [--gigabytes 2] [--ranks 2] [--limit 500]

The files are made in a temporary folder and deleted. HDF5: rows of 256 numbers in chunks of 4 MB, to a CSV. Parquet:
eight columns of numbers in row groups of 64 MB (pyarrow's default number of rows), to a Parquet file with as many rows.
Mini-batches are those that an input has by default, a chunk or a row group. Exit status 1 where a process was above
the limit.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import watch

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


def run(folder: Path, source: dict[str, str], output: str, ranks: int) -> tuple[dict[str, Any], list[watch.Process]]:
    """The summary, and every process with its peak."""
    (folder / "reduce.py").write_text(SCRIPT)
    job = {
        "name": "memory",
        "inputs": {"table": source},
        "parallel_run_config": {"entry_script": "reduce.py", "append_row_file_name": output},
    }
    (folder / "job.yaml").write_text(json.dumps(job))  # JSON is YAML
    processes = watch.mpibatch("run", folder / "job.yaml", "-n", ranks)
    return json.loads((folder / "runs" / "latest" / "summary.json").read_text()), processes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--limit", type=float, default=500.0, help="MB")
    options = parser.parse_args()
    size, largest = int(options.gigabytes * 1e9), 0.0
    formats = (("hdf5", make_hdf5, "out.csv"), ("parquet", make_parquet, "out.parquet"))
    for kind, make, output in formats:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name, f"table.{kind}")
            rows = make(path, size)
            summary, processes = run(Path(name), {"type": kind, "path": path.name}, output, options.ranks)
            assert summary["items"]["succeeded"] == rows, summary
            took = summary["seconds"]["processing"]
            print(f"{kind}: {path.stat().st_size / 1e9:.2f} GB, {rows:,} rows, {took:.1f} s")
        for process in processes:
            print(f"  {process.role:10} {process.peak / 1e6:6.0f} MB")
        largest = max(largest, processes[0].peak / 1e6)
    return int(largest > options.limit)


if __name__ == "__main__":
    raise SystemExit(main())
