"""Every input format to two output formats, and every output format from two or more, through the whole runner. What
is between the two is a DataFrame: all pairs would tell nothing more.

Guards what unit tests of a format cannot see: that executors get what plan froze, that rows come out in the input's
order, and that the output is the same whatever the number of ranks.
"""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.formats.conftest import JobFolder

pytestmark = pytest.mark.processes

ROWS = 500

SCRIPT = """\
import os

import pandas as pd


def run(mini_batch):
    if isinstance(mini_batch, dict):
        mini_batch = pd.DataFrame(mini_batch)
    elif isinstance(mini_batch, list):
        names = [int(os.path.basename(item)) for item in mini_batch]  # paths, or lines of text
        mini_batch = pd.DataFrame({"number": names, "half": [name / 2 for name in names]})
    return pd.DataFrame({"number": mini_batch["number"], "score": mini_batch["half"] + 0.25})
"""

SIZES: dict[str, Any] = {
    "files": 40,
    "tar": 40,
    "lines": "60 rows",
    "csv": 500,
    "jsonl": 2000,
    "parquet": "60 rows",
    "arrow": "60 rows",
    "orc": "60 rows",
    "hdf5": "60 rows",
}
SUFFIXES = (".txt", ".csv", ".csv.gz", ".jsonl", ".jsonl.zst", ".parquet", ".arrow")


def make(folder: Path, kind: str) -> str:
    """The data as an input of this type; returns its `path`."""
    frame = pd.DataFrame({"number": np.arange(ROWS), "half": np.arange(ROWS) / 2})
    if kind == "files":
        (folder / "data").mkdir()
        for number in frame["number"]:
            (folder / "data" / f"{number:05d}").touch()
    elif kind == "tar":
        with tarfile.open(folder / "data.tar", "w") as archive:
            for number in frame["number"]:
                archive.addfile(tarfile.TarInfo(f"{number:05d}"))
    elif kind == "lines":
        (folder / "data.lines").write_text("".join(f"{number}\n" for number in frame["number"]))
    elif kind == "arrow":
        frame.to_feather(folder / "data.arrow", chunksize=50)
    elif kind == "orc":
        frame.to_orc(folder / "data.orc")
    elif kind == "csv":
        frame.to_csv(folder / "data.csv", index=False)
    elif kind == "jsonl":
        frame.to_json(folder / "data.jsonl", orient="records", lines=True)
    elif kind == "parquet":
        frame.to_parquet(folder / "data.parquet")
    else:
        with h5py.File(folder / "data.hdf5", "w") as file:
            for name in frame:
                file.create_dataset(str(name), data=frame[name].to_numpy(), chunks=(30,))
    return "data" if kind == "files" else f"data.{kind}"


def read(data: bytes, suffix: str) -> pd.DataFrame:
    """The rows of an output file."""
    if suffix.endswith(".gz"):
        data = gzip.decompress(data)
    elif suffix.endswith(".zst"):
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    if suffix == ".arrow":
        return pd.read_feather(io.BytesIO(data))
    if suffix.startswith(".csv"):
        return pd.read_csv(io.BytesIO(data))
    if suffix.startswith(".jsonl"):
        return pd.DataFrame([json.loads(line) for line in data.splitlines()])
    if suffix == ".parquet":
        return pd.read_parquet(io.BytesIO(data))
    return pd.read_csv(io.BytesIO(data), sep=" ", names=["number", "score"])


def run(folder: Path, kind: str, suffix: str, ranks: int) -> bytes:
    """The output of all rows, as this format has them."""
    job = JobFolder(folder)
    job.script(SCRIPT)
    inputs = {"table": {"type": kind, "path": make(folder, kind)}}
    ended = job.run_through(ranks, inputs, mini_batch_size=SIZES[kind], append_row_file_name=f"out{suffix}")
    assert ended.summary["mini_batches"]["total"] > 5
    assert ended.summary["items"] == {"total": ROWS, "succeeded": ROWS, "failed": 0, "estimated": 0}
    return ended.output


EXPECTED = pd.DataFrame({"number": np.arange(ROWS), "score": np.arange(ROWS) / 2 + 0.25})
COMMON = [("files", ".txt"), ("csv", ".csv.gz"), ("parquet", ".parquet")]
OTHERS = [
    (kind, SUFFIXES[(at + step) % len(SUFFIXES)])
    for at, kind in enumerate(SIZES)
    for step in (1, 4)
    if (kind, SUFFIXES[(at + step) % len(SUFFIXES)]) not in COMMON
]


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [*COMMON, *(pytest.param(*pair, marks=pytest.mark.ci) for pair in OTHERS)],
)
def test_all_rows_come_out_in_order(tmp_path: Path, kind: str, suffix: str) -> None:
    """The rows are the same whichever format they came from."""
    pd.testing.assert_frame_equal(read(run(tmp_path, kind, suffix, 2), suffix), EXPECTED)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("parquet", ".parquet"), ("csv", ".csv.gz"), ("jsonl", ".jsonl"), ("hdf5", ".txt"), ("arrow", ".arrow")],
)
def test_three_ranks_and_one_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, kind: str, suffix: str
) -> None:
    one, three = (run(tmp_path_factory.mktemp(kind), kind, suffix, ranks) for ranks in (1, 3))
    assert one == three
