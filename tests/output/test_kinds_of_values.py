"""Whatever pandas users return: written as they would read it back, or refused in words; a success stays one."""

import datetime as dt
import decimal
import io
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mpibatch.arrow import conform, wider
from mpibatch.config.schema import RowFormat
from mpibatch.output import open_encoder, open_format
from mpibatch.output.base import AppendFormat, InvalidReturn
from tests.output.grouped import finalized

BIG = 2**53 + 1
D = pd.DataFrame


def made(folder: Path, name: str, *returned: Any, **options: Any) -> Path:
    """The file that these mini-batches make, each of them a success."""
    fmt = RowFormat(**options)
    encoder, writer = open_encoder(name, fmt), open_format(name, fmt)
    declared: bytes | None = None
    parts = []
    for value in returned:
        encoded = encoder.encode(value)
        if encoded.rows:
            declared = writer.merge_schema(declared, encoded.schema)
            assert declared is not None, "refused"
            parts.append((encoded.schema, encoded.data))
    path = folder / name
    if not isinstance(writer, AppendFormat):
        finalized(writer, path, declared or b"", parts)
        return path
    rows = [data if schema == declared else writer.reorder(declared or b"", schema, data) for schema, data in parts]
    path.write_bytes(writer.header(declared or b"") + b"".join(rows))
    return path


def texts(folder: Path, name: str, *returned: Any, **options: Any) -> str:
    return made(folder, name, *returned, **options).read_text()


@pytest.mark.parametrize(
    ("first", "second", "column"),
    [
        ([{"m": {}}], [{"m": {}}], ["{}", "{}"]),
        ([{"m": {}}], [{"m": {"k": 1}}], [{"k": None}, {"k": 1}]),
        ([{"m": [{}]}], [{"m": None}], [["{}"], None]),
        ([{"m": 5}], [{"m": decimal.Decimal("1.1")}], [decimal.Decimal("5.0"), decimal.Decimal("1.1")]),
        ([{"m": decimal.Decimal("1E+30")}], [{"m": decimal.Decimal("1E-30")}], None),
        ([{"m": [BIG]}], [{"m": [1.5]}], [[float(BIG)], [1.5]]),
        (D({"m": [np.nan]}), D({"m": ["cat"]}), [None, "cat"]),
        (D({"m": ["cat"]}), D({"m": [None]}), ["cat", None]),
        (D({"m": [np.nan]}), D({"m": [True]}), [None, True]),
        ([{"m": {"k": 1}}], [{"m": {"l": "x"}}], [{"k": 1, "l": None}, {"k": None, "l": "x"}]),
        (D({"m": np.array(["2020"], "M8[s]")}), D({"m": np.array(["2020"], "M8[ns]")}), None),
        (D({"m": [dt.date(2020, 1, 1)]}), D({"m": [dt.datetime(2020, 1, 1, 1)]}), None),
        (D({"m": [dt.time(1)]}), D({"m": [None]}), [dt.time(1), None]),
        (D({"m": pd.Categorical(["u"])}), D({"m": ["v"]}), ["u", "v"]),
        (D({"m": [pd.DateOffset(days=1)]}), D({"m": [None]}), None),
        (D({"m": pd.period_range("2020", periods=1, freq="M")}), D({"m": [None]}), None),
        (D({"m": pd.interval_range(0, 1)}), D({"m": pd.interval_range(0, 1)}), None),
        (D({"m": [uuid.UUID(int=5)]}), D({"m": [uuid.UUID(int=6)]}), None),
        (D({"m": np.array([1.5], ">f8")}), D({"m": np.array([2], ">i4")}), [1.5, 2.0]),
        (D({"m": pd.arrays.SparseArray([0, 1])}), D({"m": [2]}), [0, 1, 2]),
        (polars.DataFrame({"m": ["x"]}), D({"m": ["y"]}), ["x", "y"]),
        (polars.DataFrame({"m": ["x"]}, schema={"m": polars.Categorical}), D({"m": ["y"]}), ["x", "y"]),
        (polars.DataFrame({"m": [["x"]]}), polars.DataFrame({"m": [["y", None]]}), [["x"], ["y", None]]),
        (polars.DataFrame({"m": [b"x"]}), polars.DataFrame({"m": [None]}), [b"x", None]),
        ([{"m": np.float16(1.5)}], [{"m": np.int8(2)}], [1.5, 2.0]),
        ([{"m": np.array(3)}], [{"m": 4}], [3, 4]),
    ],
)
def test_what_was_encoded_can_be_made(tmp_path: Path, first: Any, second: Any, column: list[Any] | None) -> None:
    """Parquet is made when all is done: nothing that succeeded may stop it, whatever comes first."""
    table = pq.read_table(made(tmp_path, "o.parquet", first, second))
    assert table.num_rows == len(first) + len(second)
    assert column is None or table.column("m").to_pylist() == column
    made(tmp_path, "o.parquet", second, first)


def test_periods_intervals_and_categories_read_back(tmp_path: Path) -> None:
    """What pandas wrote it reads again as it was."""
    frame = D(
        {
            "p": pd.period_range("2020", periods=2, freq="M"),
            "i": pd.interval_range(0, 2),
            "c": pd.Categorical(["u", "v"]),
            "t": pd.to_timedelta([1, 2], unit="s"),
        }
    )
    back = pd.read_parquet(made(tmp_path, "o.parquet", frame[:1], frame[1:]))
    assert back.dtypes.astype(str).tolist() == frame.dtypes.astype(str).tolist()
    assert back.astype(str).equals(frame.astype(str))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (D({"a": [dt.datetime(9999, 1, 1)]}), D({"a": np.array(["2020"], "M8[ns]")})),
        (D({"a": pd.period_range("2020", periods=1, freq="M")}), D({"a": pd.period_range("2020", periods=1)})),
        ([{"a": "x"}], [{"a": b"x"}]),
        ([{"a": 1}], [{"a": "x"}]),
    ],
)
def test_what_cannot_be_widened_is_refused_by_mini_batch(first: Any, second: Any) -> None:
    """Before the end, with both types named; the year 9999 has no nanoseconds."""
    encoder, writer = open_encoder("o.parquet", RowFormat()), open_format("o.parquet", RowFormat())
    one, two = encoder.encode(first).schema, encoder.encode(second).schema
    assert writer.merge_schema(one, two) is None
    assert writer.merge_schema(two, one) is None
    assert "a: " in writer.explain_mismatch(one, two)


@pytest.mark.parametrize("name", ["o.csv", "o.jsonl", "o.parquet"])
@pytest.mark.parametrize(
    "returned", [[D({"a": [1]})], pd.DataFrame(index=[0, 1]), np.zeros((2, 0)), [(), ()], [{}, {}]]
)
def test_no_row_is_blank_or_half_a_frame(name: str, returned: Any) -> None:
    """A list of frames has no rows of its own, and a row without values none to write."""
    if name == "o.jsonl" and isinstance(returned, list) and not isinstance(returned[0], D):
        return  # [] and {} are JSON
    with pytest.raises(InvalidReturn, match=r"pd.concat|no columns"):
        open_encoder(name, RowFormat()).encode(returned)


@pytest.mark.parametrize("name", ["o.jsonl", "o.parquet"])
def test_two_columns_of_one_name(name: str) -> None:
    with pytest.raises(InvalidReturn, match="different names"):
        open_encoder(name, RowFormat()).encode(pd.concat([D({"a": [1]}), D({"a": [2]})], axis=1))


@pytest.mark.parametrize(
    ("returned", "lines"),
    [
        (D({"p": [1.0, None, 3.0]}), ["p", "1", '""', "3"]),
        (D({"p": ["x\n\ny", None]}), ["p", '"x', "", 'y"', '""']),
        (D({"t": np.array([1], "m8[s]")}), ["t", '"0 days 00:00:01"']),
        (D({"t": np.array([1], "m8[ns]")}), ["t", '"0 days 00:00:00.000000001"']),
        (D({"u": [uuid.UUID(int=5)]}), ["u", '"00000000-0000-0000-0000-000000000005"']),
        (D({"p": pd.period_range("2020", periods=1, freq="M")}), ["p", '"2020-01"']),
        (D({"i": pd.interval_range(0, 1)}), ["i", '"(0, 1]"']),
        (D({"d": [decimal.Decimal("1.10")]}), ["d", "1.10"]),
        (D({"h": np.array([1.5], "f2")}), ["h", "1.5"]),
        (D({"n": [2**70]}), ["n", f'"{2**70}"']),
        (np.ma.masked_array([1, 2], mask=[False, True]), ["1", '""']),
        (np.array([1.5], ">f8"), ["1.5"]),
        (np.array(["2020"], "M8[Y]"), ["2020-01-01 00:00:00"]),
        (
            polars.DataFrame({"s": ["x"], "c": ["y"]}, schema={"s": polars.String, "c": polars.Categorical}),
            ["s,c", '"x","y"'],
        ),
        ([{"t": dt.timedelta(seconds=1), "n": np.float64(0.5)}], ["t,n", "0 days 00:00:01,0.5"]),
        ([(1, (np.float64(0.5),))], ["1,[0.5]"]),
    ],
)
def test_csv(tmp_path: Path, returned: Any, lines: list[str]) -> None:
    assert texts(tmp_path, "o.csv", returned).split("\n")[:-1] == lines


def test_csv_columns_in_another_order(tmp_path: Path) -> None:
    """Fields are put in the file's order, quoted newlines and all."""
    written = texts(tmp_path, "o.csv", [{"a": 1, "b": 2}], [{"b": "x,\n", "a": None}], D({"b": ['"'], "a": [5]}))
    assert written == 'a,b\n1,2\n,"x,\n"\n5,""""\n'


def test_csv_index_of_several_levels(tmp_path: Path) -> None:
    index = pd.MultiIndex.from_tuples([("p", 7)], names=["k", None])
    assert texts(tmp_path, "o.csv", D({"v": [1]}, index=index), index=True) == "k,,v\np,7,1\n"


def test_optional_keys_with_a_schema(tmp_path: Path) -> None:
    """A key that a dict lacks is empty in every format."""
    schema = {"a": "int64", "note": "string"}
    rows = [[{"a": 1, "note": "x"}], [{"a": 2}]]
    assert texts(tmp_path, "o.csv", *rows, schema=schema) == "a,note\n1,x\n2,\n"
    assert texts(tmp_path, "o.csv", *rows, schema=schema, float_format="%.1f") == "a,note\n1,x\n2,\n"
    assert texts(tmp_path, "o.jsonl", *rows, schema=schema).splitlines()[1] == '{"a": 2, "note": null}'
    assert pq.read_table(made(tmp_path, "o.parquet", *rows, schema=schema)).column("note").to_pylist() == ["x", None]


def test_a_schema_decides(tmp_path: Path) -> None:
    """Also over a column of several types, and over nothing at all."""
    schema = {"a": "string", "b": "decimal(10, 2)", "c": "timestamp[ms, UTC]"}
    frame = D({"a": [1, "x"], "b": [1, None], "c": [pd.Timestamp("2020", tz="UTC"), None]})
    table = pq.read_table(made(tmp_path, "o.parquet", frame, D({"a": [None], "b": [None], "c": [None]}), schema=schema))
    assert [str(kind) for kind in table.schema.types] == ["string", "decimal128(10, 2)", "timestamp[ms, tz=UTC]"]
    assert table.column("a").to_pylist() == ["1", "x", None]


@pytest.mark.parametrize(
    ("returned", "line"),
    [
        ([{"counts": {np.int64(3): 5}}], '{"counts": {"3": 5}}'),
        ([{"k": {(1, np.int64(2)): 1}}], '{"k": {"(1, 2)": 1}}'),
        ([{"t": np.datetime64("2020-01-01", "ns"), "d": np.timedelta64(1, "ns")}], None),
        ([{"t": dt.timedelta(seconds=1)}], '{"t": "0 days 00:00:01"}'),
        (D({"t": np.array([1], "m8[ns]")}), '{"t": "0 days 00:00:00.000000001"}'),
        (D({"p": pd.period_range("2020", periods=1, freq="M")}), '{"p": "2020-01"}'),
        (D({"u": [uuid.UUID(int=5)]}), '{"u": "00000000-0000-0000-0000-000000000005"}'),
        (D({"n": [2**70]}), f'{{"n": {2**70}}}'),
        ([{"t": dt.timedelta(days=10**6 * 300)}], '{"t": "300000000 days, 0:00:00"}'),
        (np.ma.masked_array([1], mask=[True]), "null"),
        (polars.DataFrame({"s": ["x"]}), '{"s": "x"}'),
    ],
)
def test_json_lines(tmp_path: Path, returned: Any, line: str | None) -> None:
    found = texts(tmp_path, "o.jsonl", returned)
    assert found == f"{line}\n" if line else '"2020-01-01T00:00:00"' in found and "0 days" in found


@pytest.mark.parametrize(
    ("returned", "line"),
    [
        ([("x.png", np.float64(0.5))], "('x.png', 0.5)"),
        ([{"a": [np.int64(1)]}], "{'a': [1]}"),
        (D({"f": pd.Series(["x\udcff"], dtype=object)}), "x\\udcff"),
        ([np.array(5)], "5"),
        (D({"a": [np.zeros((2, 1))]}), '"[[0.0], [0.0]]"'),
    ],
)
def test_text(tmp_path: Path, returned: Any, line: str) -> None:
    assert texts(tmp_path, "o.txt", returned) == line + "\n"


def test_a_column_that_is_nothing_but_missing_reads_back(tmp_path: Path) -> None:
    back = pd.read_parquet(made(tmp_path, "o.parquet", D({"a": [np.nan]}), D({"a": [np.nan]})))
    assert back["a"].dtype == "float64"
    assert len(pd.read_csv(io.StringIO(texts(tmp_path, "o.csv", D({"a": [np.nan, 1.5]}))))) == 2


_leaves = st.sampled_from(
    [pa.null(), pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.string(),
     pa.large_string(), pa.bool_(), pa.date32(), pa.timestamp("s"), pa.timestamp("ns"),
     pa.timestamp("us", "UTC"), pa.duration("ms"),
     pa.decimal128(5, 2), pa.decimal128(38, 0), pa.binary(),
     pa.time32("s"), pa.time64("ns")]
)  # fmt: skip
_kinds = st.recursive(
    _leaves,
    lambda kind: st.one_of(
        kind.map(pa.list_),
        kind.map(pa.large_list),
        kind.map(lambda element: pa.list_(element, 2)),
        st.dictionaries(st.sampled_from("ab"), kind, max_size=2).map(lambda fields: pa.struct(list(fields.items()))),
    ),
    max_leaves=4,
)


def _value(kind: pa.DataType) -> Any:
    """A value of a type, as Python has it."""
    if pa.types.is_struct(kind):
        return {field.name: _value(field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [_value(kind.value_type)] * 2
    return None if pa.types.is_null(kind) else pa.scalar(1, pa.int64()).cast(pa.string()).as_py() and _leaf(kind)


def _leaf(kind: pa.DataType) -> Any:
    values = [1, 1.0, "1", b"1", True, dt.date(2020, 1, 1), dt.timedelta(1), decimal.Decimal(1), dt.time(1)]
    for value in values:
        try:
            return pa.array([value], kind).to_pylist()[0]
        except (pa.ArrowException, TypeError, ValueError):
            continue
    raise AssertionError(kind)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_kinds, _kinds)
@example(pa.list_(pa.null()), pa.list_(pa.list_(pa.null()), 2))
@example(pa.list_(pa.list_(pa.null()), 2), pa.list_(pa.list_(pa.list_(pa.null())), 2))
def test_what_is_found_wider_can_be_made(one: pa.DataType, other: pa.DataType) -> None:
    """`conform` makes what `wider` finds, of either type, of slices too; and the order does not matter."""
    found = wider(one, other)
    assert (found is None) == (wider(other, one) is None)
    if found is None:
        return
    for kind in (one, other):
        array = pa.array([None, _value(kind), _value(kind)], kind)
        whole = conform(array, found)
        whole.validate(full=True)
        assert whole.type == found
        assert conform(array[1:], found).equals(whole[1:])
        assert whole.null_count >= 1


@pytest.mark.parametrize("name", ["o.txt", "o.csv", "o.jsonl", "o.parquet"])
def test_what_no_other_library_knows_is_refused_in_words(name: str) -> None:
    """polars has integers that Arrow has not."""
    with pytest.raises(InvalidReturn, match=r"Int128|cannot be converted"):
        open_encoder(name, RowFormat()).encode(polars.DataFrame({"n": [10**30]}, schema={"n": polars.Int128}))


def test_bytes_that_are_no_text_in_a_csv(tmp_path: Path) -> None:
    """As text of a list of rows has them."""
    assert texts(tmp_path, "o.csv", D({"b": [b"a", b"\xff"]})) == 'b\n"a"\n"\\xff"\n'
    assert texts(tmp_path, "o.csv", [{"b": b"\xff"}]) == "b\n\\xff\n"
