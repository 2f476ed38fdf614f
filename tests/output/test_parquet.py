"""Parquet output: values, names, types survive; schemas widen or are refused; no file is left half made."""

from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mpibatch.config.schema import RowFormat
from mpibatch.output import columnar, open_encoder, open_format
from mpibatch.output.base import InvalidReturn
from tests.output.grouped import finalized

Point = namedtuple("Point", "x y")


def written(folder: Path, *returned: Any, schema: dict[str, str] | None = None) -> Path:
    """The file that these mini-batches make."""
    fmt = RowFormat(schema=schema)
    encoder = open_encoder("out.parquet", fmt)
    writer: Any = open_format("out.parquet", fmt)
    merged: bytes | None = None
    parts = []
    for value in returned:
        encoded = encoder.encode(value)
        assert encoded.rows == len(value)
        if encoded.rows:
            merged = writer.merge_schema(merged, encoded.schema)
            assert merged is not None
            parts.append((encoded.schema, encoded.data))
    path = folder / "out.parquet"
    finalized(writer, path, merged or b"", parts)
    assert [entry.name for entry in folder.iterdir()] == ["out.parquet"]
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return table


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (["a", None], [{"value": "a"}, {"value": None}]),
        ([1, 2.5], [{"value": 1.0}, {"value": 2.5}]),
        ([(1, "x")], [{"0": 1, "1": "x"}]),
        ([Point(1, 2)], [{"x": 1, "y": 2}]),
        ([{"a": 1}, {"b": [1, 2]}], [{"a": 1, "b": None}, {"a": None, "b": [1, 2]}]),
        ([np.array([1, 2])], [{"0": 1, "1": 2}]),
        (np.array([1.5, np.nan]), [{"value": 1.5}, {"value": None}]),
        (np.array([[1, 2]]), [{"0": 1, "1": 2}]),
        (np.zeros((1, 1, 2), int), [{"0": [0, 0]}]),
        (pd.Series(["u"], name="s"), [{"s": "u"}]),
        (pd.DataFrame({"a": [1], 5: ["x"]}), [{"a": 1, "5": "x"}]),
        (["\udcff"], [{"value": "\\udcff"}]),
    ],
)
def test_row_forms(tmp_path: Path, returned: Any, expected: list[dict[str, Any]]) -> None:
    """The table of the module's documentation."""
    assert rows(written(tmp_path, returned)) == expected


def test_round_trip(tmp_path: Path) -> None:
    """Strings, categories, times, nulls, nested lists and dicts come back as they were."""
    frame = pd.DataFrame(
        {
            "text": ["a\n\u20ac", ""],
            "when": pd.to_datetime(["2020-01-02 03:04:05.000006", "2021-01-01 00:00:00.0"]),
            "zone": pd.to_datetime(["2020-01-02", "NaT"], utc=True),
            "gap": [0.1, None],
            "kind": pd.Categorical(["u", "v"]),
            "small": np.array([1, 2], dtype=np.int8),
            "flag": [True, False],
        }
    )
    back = pd.read_parquet(written(tmp_path, frame[:1], frame[1:]))
    assert_frame_equal(back, frame)
    nested = [{"list": [[1], []], "dict": {"a": 1, "b": None}}, {"list": [], "dict": {"a": 2, "b": "x"}}]
    assert rows(written(tmp_path, nested[:1], nested[1:])) == nested


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.none() | st.integers(-9, 9) | st.floats(-9, 9)), max_size=6), st.integers(1, 10))
def test_schemas_widen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: list[list[Any]], group: int) -> None:
    """Null to any type, integers to floats, wherever the wider one comes; row groups of any size."""
    monkeypatch.setattr(columnar, "ROW_GROUP", group)
    path = written(tmp_path, *batches)
    values = [value for batch in batches for value in batch]
    assert [row["value"] for row in rows(path)] == values
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
    assert all(size == group for size in sizes[:-1])


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ([{"a": 1, "b": 2}], [{"b": 1, "a": 2}], True),
        ([{"a": None}], [{"a": [1]}], True),
        ([{"a": [1]}], [{"a": [0.5]}], True),
        ([{"a": 1}], [{"a": "x"}], False),
        ([{"a": 1}], [{"a": 1, "b": 2}], False),
        ([{"a": True}], [{"a": 1}], False),
        (np.array([1], np.uint64), np.array([1], np.int64), False),
    ],
)
def test_what_fits(first: Any, second: Any, fits: bool) -> None:
    """A mini-batch that does not fit is refused with both schemas named."""
    encoder = open_encoder("o.parquet", RowFormat())
    writer: Any = open_format("o.parquet", RowFormat())
    one, two = encoder.encode(first).schema, encoder.encode(second).schema
    assert (writer.merge_schema(one, two) is not None) == fits
    assert (writer.merge_schema(two, one) is not None) == fits
    text = writer.explain_mismatch(one, two)
    assert str(pa.ipc.read_schema(pa.py_buffer(one)).field(0).type) in text
    if fits:
        parts = [encoder.encode(first), encoder.encode([]), encoder.encode(second)]
        joined = encoder.join(parts)
        assert joined.rows == 2
        assert joined.schema == writer.merge_schema(one, two)
    else:
        with pytest.raises(InvalidReturn, match="differ"):
            encoder.join([encoder.encode(first), encoder.encode(second)])


def test_schema_casts_and_selects(tmp_path: Path) -> None:
    schema = {"n": "float64", "k": "category", "t": "timestamp[ms]"}
    when = pd.Timestamp("2020-01-01")
    path = written(tmp_path, [{"k": "u", "t": when, "n": 1, "more": 0}], [(2, "v", when)], schema=schema)
    table = pq.read_table(path)
    assert [str(kind) for kind in table.schema.types[::2]] == ["double", "timestamp[ms]"]
    assert pa.types.is_dictionary(table.schema.field("k").type)
    assert table.column("n").to_pylist() == [1.0, 2.0]
    with pytest.raises(InvalidReturn, match="missing"):
        written(tmp_path, [{"more": 1}], schema=schema)
    assert rows(written(tmp_path, [{"n": 1}], schema=schema)) == [{"n": 1.0, "k": None, "t": None}]
    with pytest.raises(InvalidReturn, match="'n' is no double"):
        written(tmp_path, [{"n": "x", "k": "u", "t": when}], schema=schema)


@pytest.mark.parametrize(
    "returned", [[1, "x"], pd.DataFrame({"m": [1, "x"]}), pd.DataFrame([[1, 2]], columns=["a", "a"])]
)
def test_wrong_columns(tmp_path: Path, returned: Any) -> None:
    """Columns of several types, or of one name, have no place in a Parquet file."""
    with pytest.raises(InvalidReturn):
        written(tmp_path, returned)


def test_nothing_returned(tmp_path: Path) -> None:
    """A run without rows leaves a file that can be read."""
    assert pq.read_table(written(tmp_path)).num_rows == 0
    path = written(tmp_path, [], pd.DataFrame({"a": []}), schema={"a": "int64", "c": "category"})
    assert pq.read_table(path).column_names == ["a", "c"]


def test_long_rows_are_written_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by bytes too."""
    monkeypatch.setattr(columnar, "MAX_BUFFERED_BYTES", 1000)
    path = written(tmp_path, *([["x" * 600]] * 5))
    assert pq.ParquetFile(path).num_row_groups == 3


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    writer: Any = open_format("o.parquet", RowFormat())

    def parts() -> Any:
        encoded = open_encoder("o.parquet", RowFormat()).encode([1])
        yield encoded.schema, encoded.data
        raise OSError("log gone")

    schema = open_encoder("o.parquet", RowFormat()).encode([1]).schema
    with pytest.raises(OSError, match="log gone"):
        writer.finalize(tmp_path / "o.parquet", schema, parts())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("group", [1, 3, 1000])
def test_groups_put_together_are_a_file_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    """`written` compares the bytes; here is what others read of it: places, statistics, dictionaries that differ."""
    monkeypatch.setattr(columnar, "ROW_GROUP", group)
    frames = [
        pd.DataFrame(
            {
                "id": np.arange(5) + 5 * number,
                "kind": pd.Categorical([f"k{(number + row) % 4}" for row in range(5)]),
                "when": pd.date_range("2020-01-01", periods=5, tz="Europe/Berlin"),
                "list": [[row, None] for row in range(5)],
                "dict": [{"a": row, "b": {"c": "x" * row}} for row in range(5)],
            }
        )
        for number in range(4)
    ]
    path = written(tmp_path, *frames)
    table = pq.read_table(path)
    assert table.column("id").to_pylist() == list(range(20))
    assert table.column("kind").to_pylist() == [kind for frame in frames for kind in frame["kind"]]
    assert pl.read_parquet(path)["dict"].to_list() == [value for frame in frames for value in frame["dict"]]
    assert pd.read_parquet(path)["when"].tolist() == [value for frame in frames for value in frame["when"]]
    file = pq.ParquetFile(path)
    for at in range(file.num_row_groups):
        values = file.read_row_group(at, columns=["id"]).column("id").to_pylist()
        statistics = file.metadata.row_group(at).column(0).statistics
        assert (statistics.min, statistics.max) == (values[0], values[-1])
    assert file.metadata.created_by == pq.read_metadata(_plain(tmp_path)).created_by
    assert pq.read_table(path, filters=[("id", ">", 17)]).column("id").to_pylist() == [18, 19]


def _plain(folder: Path) -> Path:
    pq.write_table(pa.table({"a": [1]}), folder / "plain.parquet")
    return folder / "plain.parquet"


def test_a_group_may_lie_far_behind(tmp_path: Path) -> None:
    """Beyond what 32 bits count, and with a hole in place of what is before."""
    encoded = open_encoder("o.parquet", RowFormat()).encode(list(range(100)))
    writer: Any = open_format("o.parquet", RowFormat())
    path, offset = tmp_path / "o.parquet", 5 << 40
    rows = writer.collect()
    rows.add(encoded.schema, encoded.data)
    with path.open("wb") as file:
        file.write(b"PAR1")
        file.seek(offset)
        footer = writer.encode_group(path, encoded.schema, rows, offset, True, file.write)
        file.write(writer.encode_end(path, encoded.schema, [footer]))
    assert pq.read_table(path).column("value").to_pylist() == list(range(100))
