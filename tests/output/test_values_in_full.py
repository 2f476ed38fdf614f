"""Nothing is cut short, unmasked, rounded or renamed on the way into a file, and what is encoded can be written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mpibatch.config.schema import RowFormat
from mpibatch.output import open_encoder, open_format
from mpibatch.output.base import AppendFormat, InvalidReturn
from tests.output.grouped import finalized

BIG = 2**53 + 1
LONG = list(range(2000))
FORMATS = ["o.csv", "o.jsonl", "o.parquet", "o.arrow", "o.txt"]


def written(folder: Path, name: str, *returned: Any, **options: Any) -> Any:
    """Rows of a table, lines of text."""
    fmt = RowFormat(**options)
    encoder, writer = open_encoder(name, fmt), open_format(name, fmt)
    schema, parts = b"", []
    for value in returned:
        encoded = encoder.encode(value)
        merged = writer.merge_schema(schema, encoded.schema)
        assert merged is not None, writer.explain_mismatch(schema, encoded.schema)
        schema = merged
        parts.append((encoded.schema, encoded.data))
    if isinstance(writer, AppendFormat):
        return b"".join([writer.header(schema), *(data for _, data in parts)]).decode().splitlines()
    finalized(writer, folder / name, schema, parts)
    file = folder / name
    return (pq.read_table(file) if file.suffix == ".parquet" else pa.ipc.open_file(file).read_all()).to_pylist()


@pytest.mark.parametrize("returned", [{"a": np.array(LONG)}, {"a": {"b": np.array(LONG)}}, (np.array(LONG), 1)])
@pytest.mark.parametrize("name", FORMATS)
def test_long_arrays_within_rows(tmp_path: Path, name: str, returned: Any) -> None:
    """NumPy writes the beginning and the end of such."""
    assert ", 999, 1000, 1001, " in str(written(tmp_path, name, [returned]))


@pytest.mark.parametrize(("name", "options"), [("o.txt", {}), ("o.csv", {}), ("o.csv", {"index": True})])
def test_long_arrays_within_frames(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    frame = pd.DataFrame({"a": [np.array(LONG)]})
    assert str(LONG) in str(written(tmp_path, name, frame, **options))


def test_dates_within_arrays_within_rows(tmp_path: Path) -> None:
    rows = [{"a": np.array(["2020-01-01"], "M8[ns]")}]
    assert '[""2020-01-01T00:00:00.000000000""]' in written(tmp_path, "o.csv", rows)[1]
    assert written(tmp_path, "o.jsonl", rows) == ['{"a": ["2020-01-01T00:00:00"]}']


def test_what_is_masked_is_no_text(tmp_path: Path) -> None:
    assert written(tmp_path, "o.txt", np.ma.masked_array([1, 2], [False, True])) == ["1", "None"]
    assert written(tmp_path, "o.txt", np.ma.masked_array([[1.5, 2.0]], [[False, True]])) == ["1.5 None"]


@pytest.mark.parametrize(
    "column", [pa.array([BIG, None]), pa.chunked_array([[BIG], [None]]), polars.Series([BIG, None])], ids=type
)
def test_columns_of_arrow_and_polars(tmp_path: Path, column: Any) -> None:
    """NumPy has floats for integers beside nulls."""
    assert written(tmp_path, "o.csv", column) == [str(BIG), '""']
    assert written(tmp_path, "o.jsonl", column) == [str(BIG), "null"]
    assert written(tmp_path, "o.txt", column) == [str(BIG), "None"]
    assert written(tmp_path, "o.parquet", column) == [{"value": BIG}, {"value": None}]


@pytest.mark.parametrize("make", [pa.table, polars.DataFrame])
@pytest.mark.parametrize(("name", "options"), [("o.txt", {}), ("o.csv", {"float_format": "%.1f"})])
def test_tables_of_arrow_and_polars(tmp_path: Path, make: Any, name: str, options: dict[str, Any]) -> None:
    """pandas too."""
    rows = written(tmp_path, name, make({"a": [BIG, None], "l": [[BIG, None], [1]]}), **options)
    assert f"{BIG}" in rows[-2].split("[")[0]
    assert f"[{BIG}, " in rows[-2]


@pytest.mark.parametrize(
    ("categories", "values"),
    [
        (pd.cut([1, 5, 9], [0, 2, 6]), ["(0, 2]", "(2, 6]", None]),
        (pd.Categorical(pd.period_range("2020", periods=2, freq="M")), ["2020-01", "2020-02"]),
        (pd.Categorical(pd.to_timedelta([1, 2], "s")), list(pd.to_timedelta([1, 2], "s"))),
        (pd.Categorical([(1, 2), (3, 4)]), [[1, 2], [3, 4]]),
        (pd.Categorical([1, 2]), [1, 2]),
    ],
    ids=["intervals", "periods", "spans", "tuples", "numbers"],
)
@pytest.mark.parametrize("name", FORMATS)
def test_categories_of_anything(tmp_path: Path, name: str, categories: Any, values: list[Any]) -> None:
    """The file could not be made of some, when all mini-batches had succeeded."""
    rows = written(tmp_path, name, pd.DataFrame({"c": categories}), pd.DataFrame({"c": categories}))
    assert len(rows) == 2 * len(values) + (name == "o.csv")
    if name in ("o.parquet", "o.arrow"):
        assert [row["c"] for row in rows] == values * 2


def test_a_category_of_text_stays_one(tmp_path: Path) -> None:
    written(tmp_path, "o.parquet", pd.DataFrame({"c": pd.cut([1, 5, 9], [0, 2, 6])}))
    assert pd.read_parquet(tmp_path / "o.parquet")["c"].dtype == "category"


@pytest.mark.parametrize("name", ["o.parquet", "o.arrow"])
def test_column_names_that_are_no_utf8(tmp_path: Path, name: str) -> None:
    """As file names may be."""
    structured = np.array([(1,)], dtype=[("k\udcff", "i8")])
    assert written(tmp_path, name, [{"k\udcff": 1}], structured) == [{"k\\udcff": 1}] * 2


def test_integers_of_64_bits_without_a_sign(tmp_path: Path) -> None:
    assert written(tmp_path, "o.parquet", [{"a": 2**64 - 1}, {"a": None}]) == [{"a": 2**64 - 1}, {"a": None}]


@pytest.mark.parametrize(
    ("value", "declared", "kept"),
    [(1, "decimal(5, 2)", True), (5, "bool", False), (BIG, "float64", False), (1.5, "int64", False)],
)
def test_a_schema_takes_what_it_holds(tmp_path: Path, value: Any, declared: str, kept: bool) -> None:
    if kept:
        assert written(tmp_path, "o.parquet", [{"a": value}], schema={"a": declared}) == [{"a": value}]
        return
    with pytest.raises(InvalidReturn, match="column 'a' is no "):
        written(tmp_path, "o.parquet", [{"a": value}], schema={"a": declared})


def test_types_of_pandas_are_told_apart() -> None:
    """Both are extension types to Arrow."""
    writer = open_format("o.parquet", RowFormat())
    encoder = open_encoder("o.parquet", RowFormat())
    one, other = (
        encoder.encode(pd.DataFrame({"p": pd.period_range("2020", periods=1, freq=freq)})).schema for freq in "QM"
    )
    assert writer.merge_schema(one, other) is None
    said = writer.explain_mismatch(one, other)
    assert json.dumps({"freq": "Q-DEC"}) in said
    assert json.dumps({"freq": "M"}) in said
