"""Arrow files, streams and ORC: mini-batches put together are the file, with its types; what is broken fails alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from pyarrow import orc

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.config.values import Unit
from mpibatch.datasets.base import LoadError

Batches = Callable[..., list[Any]]
BIG = 2**53 + 1


def table_of(rows: int) -> pa.Table:
    return pa.table(
        {
            "n": list(range(rows)),
            "big": pa.array([BIG + at if at % 3 else None for at in range(rows)], pa.int64()),
            "text": [f"\u20ac{at}" for at in range(rows)],
            "kind": pa.array([f"k{at % 4}" for at in range(rows)]).dictionary_encode(),
        }
    )


def write(path: Path, table: pa.Table, way: str, rows: int) -> Path:
    """In groups of about so many rows."""
    if way == "orc":
        orc.write_table(table.set_column(3, "kind", table.column("kind").cast(pa.string())), path, stripe_size=1)
        return path
    new = pa.ipc.new_stream if way == "stream" else pa.ipc.new_file
    options = pa.ipc.IpcWriteOptions(compression="zstd" if way == "zstd" else None, unify_dictionaries=True)
    with new(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    way=st.sampled_from(["file", "zstd", "stream", "orc"]),
    rows=st.integers(1, 60),
    group=st.integers(1, 40),
    size=st.one_of(st.none(), st.integers(1, 200)),
    unit=st.sampled_from([Unit.ROWS, Unit.BYTES]),
)
def test_slices_are_the_whole(
    tmp_path: Path, batches: Batches, way: str, rows: int, group: int, size: int | None, unit: Unit
) -> None:
    """Any sizes of files, groups and mini-batches."""
    kind = InputType.ORC if way == "orc" else InputType.ARROW
    path = write(tmp_path / "data", table_of(rows), way, group)
    parts: list[pd.DataFrame] = batches(Input("t", kind, (str(path),)), size, unit)
    whole = pd.concat(parts, ignore_index=True)
    expected = table_of(rows).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    expected["n"], expected["kind"] = np.arange(rows), expected["kind"].astype("str")
    if not expected["big"].notna().any():
        del whole["big"], expected["big"]
    assert_frame_equal(whole, expected)


def test_types_settle_over_files(tmp_path: Path, batches: Batches) -> None:
    """Floats, nulls and folders, as of Parquet."""
    for name, values in (("y=1/a", [1]), ("y=2/b", [1.5]), ("y=3/c", [None])):
        (tmp_path / name).parent.mkdir()
        write(tmp_path / name, pa.table({"v": values}), "file", 1)
    parts = batches(Input("t", InputType.ARROW, (str(tmp_path),)))
    assert {str(part.dtypes["v"]) for part in parts} == {"float64"}
    assert [part["y"].tolist() for part in parts] == [[1], [2], [3]]


def test_partition_keys(tmp_path: Path, batches: Batches) -> None:
    path = write(tmp_path / "a.arrow", table_of(9), "file", 2)
    parts = batches(Input("t", InputType.ARROW, (str(path),)), keys=("kind",))
    assert [part["n"].tolist() for part in parts] == [[0, 4, 8], [1, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize("kind", [InputType.ARROW, InputType.ORC])
def test_broken_files_fail_alone(tmp_path: Path, outcomes: Any, kind: InputType) -> None:
    """Cut short, empty, of something else: each one mini-batch with its reason."""
    write(tmp_path / "1", table_of(50), "orc" if kind is InputType.ORC else "file", 10)
    data = (tmp_path / "1").read_bytes()
    (tmp_path / "2").write_bytes(data[: len(data) // 2])
    (tmp_path / "3").write_bytes(b"")
    (tmp_path / "4").write_bytes(b"FEA1" + bytes(100))
    found = outcomes(Input("t", kind, (str(tmp_path),)), 1000, Unit.ROWS)
    assert [isinstance(value, LoadError) for _, value in found] == [False, True, True, True]
    assert all(f"{tmp_path}/{at + 2}" in str(value) for at, (_, value) in enumerate(found[1:]))
