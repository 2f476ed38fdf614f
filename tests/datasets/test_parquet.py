"""Parquet: slices put together are the file read whole, groups decoded once, broken files fail alone."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import grouped_file, grouped_table, open_dataset
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

Batches = Callable[..., list[Any]]


def spec_of(*paths: Path, columns: tuple[str, ...] = ()) -> Input:
    return Input("lake", InputType.PARQUET, tuple(map(str, paths)), columns=columns)


def frame_of(rows: int) -> pd.DataFrame:
    """Every kind of column that changes its type in pandas when a slice happens to hold a null, or none."""
    at = np.arange(rows)
    return pd.DataFrame(
        {
            "i": at,
            "gaps": pd.array([None if n % 3 == 0 else n for n in at], "Int64"),
            "flag": at % 2 == 0,
            "flaggaps": pd.array([None if n % 5 == 0 else n % 2 == 0 for n in at], "boolean"),
            "f": at / 7,
            "text": [f"\u20ac{n}" for n in at],
            "kind": pd.Categorical([f"k{n % 3}" for n in at]),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(at, unit="s"),
            "nested": [[int(n), None] for n in at],
            "dotted.name": at,
        }
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.integers(1, 60),
    group=st.integers(1, 30),
    size=st.one_of(
        st.none(),
        st.tuples(st.integers(1, 70), st.just(Unit.ROWS)),
        st.tuples(st.integers(1, 9999), st.just(Unit.BYTES)),
    ),
    keep=st.sampled_from([0, 1 << 20]),
)
def test_splits_are_the_whole(
    *,
    tmp_path: Path,
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    group: int,
    size: tuple[int, Unit] | None,
    keep: int,
) -> None:
    """Any sizes of rows, groups and mini-batches, decoded whole or read on; values and types of the whole."""
    monkeypatch.setattr(grouped_file, "CACHE_BYTES", keep)
    monkeypatch.setattr(grouped_file, "_BATCH", 4)
    table = pa.Table.from_pandas(frame_of(rows))
    path = tmp_path / "data.parquet"
    pq.write_table(table, path, row_group_size=group)
    parts: list[pd.DataFrame] = batches(spec_of(path), *(size or ()))
    position = table.schema.get_field_index("kind")
    plain = table.set_column(position, "kind", table["kind"].cast(pa.string()))
    expected = plain.to_pandas(ignore_metadata=True, date_as_object=False)
    for column in ("gaps", "flaggaps"):  # pandas' metadata has it
        expected[column] = frame_of(rows)[column]
    assert_frame_equal(pd.concat(parts, ignore_index=True), expected)
    assert all(part.dtypes.equals(parts[0].dtypes) for part in parts)
    if size and size[1] is Unit.ROWS:
        assert {len(part) for part in parts[:-1]} <= {size[0]}
    if not size:
        assert [len(part) for part in parts] == [min(group, rows - at) for at in range(0, rows, group)]


def test_sizes_in_bytes(tmp_path: Path) -> None:
    """Small groups are joined up to the size, large ones cut into equal pieces, pieces stay together."""
    groups = [(10, 100)] * 5 + [(100, 1000), (0, 0), (7, 70)]
    cuts = list(grouped_table._cuts(groups, Size(250, Unit.BYTES)))
    assert cuts == [(0, 20), (20, 40), (40, 50), (50, 75), (75, 100), (100, 125), (125, 150), (150, 157)]
    assert list(grouped_table._cuts([(3, 1000)], Size(1, Unit.BYTES))) == [(0, 1), (1, 2), (2, 3)]


def test_a_group_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": range(100)}), path, row_group_size=50)
    decoded = []
    original = pq.ParquetFile.read_row_group

    def read_row_group(self: Any, at: int, *arguments: Any, **options: Any) -> Any:
        decoded.append(at)
        return original(self, at, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read_row_group)
    data = open_dataset(spec_of(path), Size(10, Unit.ROWS))
    splits = list(data.plan(map))
    assert [data.load(piece.payload).value["a"][0] for piece in splits] == list(range(0, 100, 10))
    assert decoded == [0, 1]


def test_folder_of_files(tmp_path: Path, batches: Batches, outcomes: Any) -> None:
    """Order, narrower types widened, nulls of one file settle all, other files' faults stay theirs."""
    pq.write_table(pa.table({"a": pa.array([1, 2], pa.int64()), "b": ["x", "y"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"b": ["z"], "a": pa.array([None], pa.int32())}), tmp_path / "2.parquet")
    (tmp_path / "_SUCCESS").touch()
    parts = batches(spec_of(tmp_path))
    assert [part["a"].dtype for part in parts] == [np.float64, np.float64]
    assert [list(part.columns) for part in parts] == [["a", "b"]] * 2
    pq.write_table(pa.table({"a": [1]}), tmp_path / "3.parquet")
    pq.write_table(pa.table({"a": ["text"], "b": ["z"]}), tmp_path / "4.parquet")
    whole = (tmp_path / "1.parquet").read_bytes()
    (tmp_path / "5.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "6.parquet").write_bytes(b"")
    results = outcomes(spec_of(tmp_path))
    errors = {at: str(value) for at, (_, value) in enumerate(results) if isinstance(value, LoadError)}
    assert sorted(errors) == [2, 3, 4, 5]
    assert "lacks the columns ['b']" in errors[2]
    assert all(f"{tmp_path}/{at + 1}.parquet, rows" in message for at, message in errors.items())
    assert [piece.items for piece, _ in results] == [2, 1, 1, 1, -1, -1]


def test_damaged_pages(tmp_path: Path, outcomes: Any) -> None:
    """A footer that is right over data that is not: the row group fails with its rows."""
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": np.arange(1000)}), path, row_group_size=500, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[10:200] = b"\xff" * 190
    path.write_bytes(data)
    results = outcomes(spec_of(path))
    assert str(results[0][1]).startswith(f"{path}, rows 0 to 500: ")
    assert len(results[1][1]) == 500


def test_columns(tmp_path: Path, batches: Batches) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": [1], "b": ["x"], "c.d": [2]}), path)
    (frame,) = batches(spec_of(path, columns=("c.d", "a")))
    assert frame.to_dict("list") == {"c.d": [2], "a": [1]}
    with pytest.raises(InputError, match="nope"):
        batches(spec_of(path, columns=("nope",)))
    with pytest.raises(InputError, match="rows"):
        open_dataset(spec_of(path), Size(1, Unit.ITEMS))


def test_no_rows(tmp_path: Path, batches: Batches) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    for size in ((), (5, Unit.ROWS), (5, Unit.BYTES)):
        assert batches(spec_of(path), *size) == []


def test_failed_rows(tmp_path: Path) -> None:
    """Rows are numbered within the file; neighbours share a line."""
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": range(100)}), path, row_group_size=50)
    data = open_dataset(spec_of(path), None)
    second = list(itertools.islice(data.plan(map), 2))[1]
    items = data.failed_items(second.payload, [3, 4, 9], 50)
    assert [(item.rows, item.count) for item in items] == [((53, 55), 2), ((59, 60), 1)]
    (item,) = data.failed_items(second.payload, None, 50)
    assert (item.item, item.rows, item.count) == (str(path), (50, 100), 50)
    assert data.count_items(second.payload) == 50
    assert data.load(second.payload).slice(2, 4).value["a"].tolist() == [52, 53]
