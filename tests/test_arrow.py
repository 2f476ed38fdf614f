"""Columns without pandas: the same as pyarrow's own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mpibatch.arrow import numbers, texts, to_numpy


def test_numbers_there_and_back() -> None:
    table = np.array([(1, 2.5), (3, -1.0)], dtype=[("n", "<i8"), ("x", "<f4")])
    for name in ("n", "x"):
        assert numbers(table[name]).to_pylist() == table[name].tolist()
    assert to_numpy(numbers(np.arange(5)).slice(2), np.int64).tolist() == [2, 3, 4]


@pytest.mark.parametrize("type", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_texts(type: pa.DataType) -> None:
    column = texts([b"a", b"", "ä".encode()], type)
    column.validate(full=True)
    assert column.cast(pa.large_binary()).to_pylist() == [b"a", b"", "ä".encode()]
    assert texts([], type).to_pylist() == []


def test_reading_parquet_starts_no_thread(tmp_path: Path) -> None:
    """One that still held the file when a rank ended aborted it, once in some hundred runs."""
    path = tmp_path / "key=1" / "a.parquet"  # a folder's name is no column
    path.parent.mkdir()
    pq.write_table(pa.table({"a": range(100_000), "b": ["x"] * 100_000}), path, row_group_size=10_000)
    code = """
import os, sys
from pathlib import Path
from mpibatch.arrow import read_parquet
import pyarrow.parquet
before = len(os.listdir("/proc/self/task"))
table = read_parquet(Path(sys.argv[1]))
print(len(os.listdir("/proc/self/task")) - before, len(table), table.column_names)
"""
    told = subprocess.run([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert told == "0 100000 ['a', 'b']\n"
