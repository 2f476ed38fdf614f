"""What readers are known to lose: rows at odd quotes and line ends, digits, types that change; by kind, not by case."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.choices import InputType, QuotedNewlines
from mpibatch.config.schema import Input
from mpibatch.config.values import Unit
from mpibatch.datasets import open_dataset, text_slices, text_table
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

Batches = Callable[..., list[Any]]
BIG = 2**53 + 1
D = pd.DataFrame


def spec_of(kind: InputType, folder: Path, files: dict[str, Any], **options: Any) -> Input:
    """An input over these files: bytes, text, a DataFrame or a Table."""
    for name, data in files.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, D):
            data.to_parquet(path)
        elif isinstance(data, pa.Table):
            pq.write_table(data, path)
        else:
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return Input("table", kind, (str(folder / "data"),), **options)


def lines(*rows: Any) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def types_of(parts: list[Any]) -> set[tuple[str, ...]]:
    return {tuple(f"{name}: {kind}" for name, kind in part.dtypes.items()) for part in parts}


def values_of(parts: list[Any]) -> list[list[str]]:
    return [[str(cell) for cell in row] for part in parts for row in part.itertuples(index=False)]


_pieces = st.lists(st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", "b", " ", "\u00e9"]), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pieces=_pieces, step=st.integers(1, 30), segment=st.integers(1, 40), wide=st.booleans())
def test_rows_are_those_of_the_reader(
    tmp_path: Path,
    outcomes: Any,
    monkeypatch: pytest.MonkeyPatch,
    pieces: list[str],
    step: int,
    segment: int,
    wide: bool,
) -> None:
    """Any text at all, cut at any size and scanned in any segments, has the rows that pyarrow reads in one piece."""
    monkeypatch.setattr(text_slices, "SEGMENT", segment * 2)
    text, encoding = "x\n" + "".join(pieces), "utf-16-le" if wide else "utf-8"
    options = {"column_types": {"x": "string"}, "quoted_newlines": QuotedNewlines.TRUE, "encoding": encoding}
    spec = spec_of(InputType.CSV, tmp_path, {"a.csv": text.encode(encoding)}, **options)
    found = [value for _, value in outcomes(spec, step)]
    errors = [str(value) for value in found if isinstance(value, LoadError)]
    if any("quoted field" in error for error in errors):
        return  # an open quote, up to the end
    kinds = arrow_csv.ConvertOptions(column_types={"x": pa.string()})
    dialect = arrow_csv.ParseOptions(newlines_in_values=True)
    expected: list[Any] | None = None
    with suppress(pa.ArrowInvalid):
        table = arrow_csv.read_csv(pa.py_buffer(text.encode()), parse_options=dialect, convert_options=kinds)
        expected = table.column("x").to_pylist()
    assert bool(errors) == (expected is None)
    if expected is not None:
        assert [row[0] for row in values_of(found)] == [str(value) for value in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name,size 5"\nx,1\ny,2\n', [["x", "1"], ["y", "2"]]),
        ("x,y\r1,2\r3,4\r", [["1", "2"], ["3", "4"]]),
        ("x,y\r\n1,2\r\n\r\n3,4", [["1", "2"], ["3", "4"]]),
        ('a\n5" pipe\n"x\ny"\n6" pipe\nz\n', [['5" pipe'], ["x\ny"], ['6" pipe'], ["z"]]),
        ("a,b\n1,2\n  \n3,4\n", [["1", "2"], ["3", "4"]]),
        ("a,a,a.1\n1,2,3\n", [["1", "2", "3"]]),
        ("c\ntrue\n1\n", [["true"], ["1"]]),
        ("c\n0x1F\n2\n", [["0x1F"], ["2"]]),
        ("id\n18446744073709551615\n2\n", [["18446744073709551615"], ["2"]]),
        (f"id\n{'1234567890' * 3}\n2\n", [["1234567890" * 3], ["2"]]),
        (f"id\n{BIG}\n1.5\n", [[str(BIG)], ["1.5"]]),
        (f"id,v\n{BIG},1\n,2\n", [[str(BIG), "1"], ["<NA>", "2"]]),
        ("id,v\n5,1\n,2\n", [["5.0", "1"], ["nan", "2"]]),
    ],
)
@pytest.mark.parametrize("step", [1, None])
def test_csv(tmp_path: Path, batches: Batches, text: str, expected: list[list[str]], step: int | None) -> None:
    parts = batches(spec_of(InputType.CSV, tmp_path, {"a.csv": text}), step)
    assert values_of(parts) == expected
    assert len(types_of(parts)) == 1


def test_a_number_that_no_sample_had_fails_and_is_not_rounded(
    tmp_path: Path, outcomes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mini-batch fails with the mend in its message."""
    monkeypatch.setattr(text_table, "SAMPLE_ALL", 10)
    monkeypatch.setattr(text_table, "SAMPLES", 1)
    late = "12345678901234567891"
    spec = spec_of(InputType.CSV, tmp_path, {"a.csv": f"a,b\n1.5,1\n2.5,2\n{late},3\n"})
    found = [str(value) for _, value in outcomes(spec, 4)]
    assert any("column_types: {a: string}" in value for value in found)
    assert not any("1.234" in value for value in found)


@pytest.mark.parametrize("kind", [InputType.CSV, InputType.JSONL])
def test_mini_batches_of_rows(tmp_path: Path, batches: Batches, kind: InputType) -> None:
    """Row ends come from the scan, over segments and quoted newlines."""
    sink = io.StringIO()
    frame = D({"n": range(25), "t": [f"a\n{n}" for n in range(25)]})
    if kind is InputType.CSV:
        frame.to_csv(sink, index=False, quoting=csv.QUOTE_NONNUMERIC)
    else:
        frame.to_json(sink, orient="records", lines=True)
    parts = batches(spec_of(kind, tmp_path, {"a": sink.getvalue()}), 10, Unit.ROWS)
    assert [len(part) for part in parts] == [10, 10, 5]
    assert pd.concat(parts, ignore_index=True)["t"].tolist() == frame["t"].tolist()


def test_empty_parts_of_a_csv(tmp_path: Path, batches: Batches) -> None:
    files = {"a.csv.gz": gzip.compress(b"a\n1\n"), "b.csv.gz": gzip.compress(b""), "c.csv": b"", "d.csv": b"a\n"}
    assert values_of(batches(spec_of(InputType.CSV, tmp_path, files))) == [["1"]]


@pytest.mark.parametrize(
    ("rows", "failing"),
    [
        ([{"a": 1, "b": 1}, {"a": 2}, {"a": None, "b": 2}, {"a": "x", "b": 3}, {"b": 4}], 1),
        ([{"a": "x"}, {"a": 1}, {"a": 2}, {"a": 3}], 1),
        ([{"a": [1]}, {"a": {"k": 1}}, {"a": [2]}, {"a": [3]}], 1),
    ],
)
def test_an_odd_row_fails_and_the_types_stand(tmp_path: Path, outcomes: Any, rows: list[Any], failing: int) -> None:
    found = [value for _, value in outcomes(spec_of(InputType.JSONL, tmp_path, {"a.jsonl": lines(*rows)}), 1)]
    good = [value for value in found if isinstance(value, D)]
    assert len(found) - len(good) == failing
    assert len(types_of(good)) == 1


def test_json_numbers_keep_their_digits(tmp_path: Path, batches: Batches) -> None:
    rows = [{"u": 2**64 - 1, "l": 10**30 + 1, "n": BIG}, {"u": 1, "l": 2, "n": None}]
    parts = batches(spec_of(InputType.JSONL, tmp_path, {"a.jsonl": lines(*rows)}), 1)
    assert values_of(parts) == [[str(2**64 - 1), str(10**30 + 1), str(BIG)], ["1", "2", "<NA>"]]


def test_json_column_types_stand(tmp_path: Path, outcomes: Any) -> None:
    text = '{"id":"1"}\n{"id":2}\n{"id":"3"}\n'
    spec = spec_of(InputType.JSONL, tmp_path, {"a.jsonl": text}, column_types={"id": "string"})
    good = [value for _, value in outcomes(spec, 1) if isinstance(value, D)]
    assert len(good) == 2
    assert types_of(good) == {("id: str",)} or types_of(good) == {("id: object",)}


@pytest.mark.parametrize(
    ("files", "options", "expected", "kinds"),
    [
        ({"a": D({"i": [BIG]}), "b": D({"i": np.array([], "i8")})}, {}, [[str(BIG)]], "int64"),
        ({"a": D({"i": np.array([], "i8")}), "b": D({"i": [1.5]})}, {}, [["1.5"]], "float64"),
        ({"a": D({"i": pd.array([BIG, None], "Int64")})}, {}, [[str(BIG)], ["<NA>"]], "Int64"),
        ({"a": pa.table({"i": [BIG, None]})}, {}, [[str(BIG)], ["<NA>"]], "Int64"),
        ({"a": pa.table({"i": [5, None]})}, {}, [["5.0"], ["nan"]], "float64"),
        ({"a": pa.table({"i": [5, None]})}, {"column_types": {"i": "Int64"}}, [["5"], ["<NA>"]], "Int64"),
        ({"a": D({"i": [1]}), "b": D({"i": [1.5]})}, {}, [["1.0"], ["1.5"]], "float64"),
        ({"a": D({"i": [1.5]}), "b": D({"i": [1]})}, {}, [["1.5"], ["1.0"]], "float64"),
        ({"a": D({"i": [None]}), "b": D({"i": ["q"]})}, {}, [["nan"], ["q"]], "str"),
        ({"a": D({"i": [1]}, index=["p"])}, {}, [["1"]], "int64"),
        ({"a": pa.table({"i": pa.array([1], pa.decimal128(5, 2))})}, {}, [["1.00"]], "object"),
        ({"a": pa.table({"i": pa.array([2**64 - 1], pa.uint64())})}, {}, [[str(2**64 - 1)]], "uint64"),
        ({"a": pa.table({"i": [1]})}, {"column_types": {"i": "string"}}, [["1"]], "str"),
    ],
)
def test_parquet(
    tmp_path: Path, batches: Batches, files: dict[str, Any], options: dict[str, Any], expected: list[Any], kinds: str
) -> None:
    parts = batches(spec_of(InputType.PARQUET, tmp_path, files, **options), 1, Unit.ROWS)
    assert values_of(parts) in (expected, [["None" if cell == "nan" else cell for cell in row] for row in expected])
    assert types_of(parts) == {(f"i: {kinds}",)}


def test_parquet_without_statistics(tmp_path: Path, batches: Batches) -> None:
    """Integers are read for nulls and extremes where the footer does not tell."""
    spec = spec_of(InputType.PARQUET, tmp_path, {})
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"i": [BIG, BIG + 2], "g": [BIG, None]}), tmp_path / "data" / "a", write_statistics=False)
    parts = batches(spec, 1, Unit.ROWS)
    assert types_of(parts) == {("i: int64", "g: Int64")}
    assert values_of(parts) == [[str(BIG), str(BIG)], [str(BIG + 2), "<NA>"]]


def test_parquet_columns_that_not_all_files_have(tmp_path: Path, batches: Batches) -> None:
    files = {"a": D({"a": [1]}), "b": D({"a": [2], "zeta": [3]})}
    spec = spec_of(InputType.PARQUET, tmp_path, files)
    assert values_of(batches(spec)) == [["1"], ["2"]]
    planned = open_dataset(spec, None)
    assert list(planned.plan(map))
    assert "zeta" in planned.warnings[0]
    chosen = spec_of(InputType.PARQUET, tmp_path, files, columns=("zeta", "a"))
    assert values_of(batches(chosen)) == [["nan", "1"], ["3.0", "2"]]


def test_two_columns_of_one_name_are_refused_in_words(tmp_path: Path, batches: Batches) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([3])], names=["a", "a"])
    with pytest.raises(InputError, match="several columns are called"):
        batches(spec_of(InputType.PARQUET, tmp_path, {"a": table}))


def test_folders_that_are_columns(tmp_path: Path, batches: Batches) -> None:
    """Hive's: as columns and as partition keys; whole numbers unless a zero leads."""
    files = {"y=2020/m=01/a": D({"v": [1]}), "y=2021/m=__HIVE_DEFAULT_PARTITION__/b": D({"v": [2]})}
    spec = spec_of(InputType.PARQUET, tmp_path, files)
    parts = batches(spec)
    assert values_of(parts)[0] == ["1", "2020", "01"]
    assert parts[1]["m"].isna().all()
    assert len(types_of(parts)) == 1
    assert [part["v"].tolist() for part in batches(spec, keys=("y",))] == [[1], [2]]


def hours() -> Any:
    """01:00 before and after the clocks go back, and 02:00."""
    return pa.array(
        [1604206800 * 10**6, 1604210400 * 10**6, 1604214000 * 10**6], pa.timestamp("us", "America/New_York")
    )


@pytest.mark.parametrize(
    ("keys", "groups"),
    [
        (pa.array([0.0, -0.0, 1.5, None, float("nan")]), [[0, 1], [2], [3, 4]]),
        (hours(), [[0], [1], [2]]),
        (pa.array([1, 2, 1], pa.timestamp("ns")), [[0, 2], [1]]),
        (pa.array(["b", "a", None], pa.string()).dictionary_encode(), [[1], [0], [2]]),
        (pa.array([1, 2, 1], pa.decimal128(5, 2)), [[0, 2], [1]]),
        (pa.array([b"b" * 16, b"a" * 16], pa.binary(16)), [[1], [0]]),
        (pa.array([True, None, False, True]), [[2], [0, 3], [1]]),
        (pa.array([2**63, 1], pa.uint64()), [[1], [0]]),
    ],
)
def test_partition_keys_are_compared_by_arrow(
    tmp_path: Path, batches: Batches, keys: Any, groups: list[list[int]]
) -> None:
    """Each row is in one partition, and in one only."""
    table = pa.table({"k": keys, "v": list(range(len(keys)))})
    spec = spec_of(InputType.PARQUET, tmp_path, {"a": table})
    assert [part["v"].tolist() for part in batches(spec, keys=("k",))] == groups


@pytest.mark.parametrize("keys", [pa.array([[1]]), pa.array([{"a": 1}]), pa.nulls(1)])
def test_what_cannot_be_a_key_is_refused_while_planning(tmp_path: Path, batches: Batches, keys: Any) -> None:
    spec = spec_of(InputType.PARQUET, tmp_path, {"a": pa.table({"k": keys})})
    with pytest.raises(InputError, match="no single values"):
        batches(spec, keys=("k",))


def test_json_times_say_what_their_text_says(tmp_path: Path, outcomes: Any) -> None:
    """UTC where all have a zone, naive where none has, text where some have; within lists and objects text."""
    rows = [
        {
            "z": "2020-01-02T03:04:05+02:00",
            "n": "2020-01-02 03:04:05",
            "m": "2020-01-02T00:00:00Z",
            "o": {"t": "2020-01-02"},
        },
        {"z": "2020-01-02T03:04:05Z", "n": "2020-01-02", "m": "2020-01-02T00:00:00", "o": {"t": None}},
    ]
    found = [value for _, value in outcomes(spec_of(InputType.JSONL, tmp_path, {"a.jsonl": lines(*rows)}), 1)]
    assert types_of(found) == {("z: datetime64[s, UTC]", "n: datetime64[s]", "m: str", "o: object")}
    assert values_of(found) == [
        ["2020-01-02 01:04:05+00:00", "2020-01-02 03:04:05", "2020-01-02T00:00:00Z", "{'t': '2020-01-02'}"],
        ["2020-01-02 03:04:05+00:00", "2020-01-02 00:00:00", "2020-01-02T00:00:00", "{'t': None}"],
    ]


def test_a_zone_that_no_sample_had_fails_and_is_not_forgotten(
    tmp_path: Path, outcomes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_table, "SAMPLE_ALL", 10)
    monkeypatch.setattr(text_table, "SAMPLES", 1)
    text = lines(*[{"t": "2020-01-02T03:04:05"}] * 3, {"t": "2020-01-02T03:04:05+02:00"})
    found = [value for _, value in outcomes(spec_of(InputType.JSONL, tmp_path, {"a.jsonl": text}), 20)]
    assert "zone" in str(found[-1])
    assert "column_types" in str(found[-1])


def test_whole_numbers_among_fractions_fail_where_they_would_be_rounded(tmp_path: Path, outcomes: Any) -> None:
    text = lines({"n": 1.5}, {"n": BIG}, {"n": 2**53}, {"n": 10**400})
    found = [value for _, value in outcomes(spec_of(InputType.JSONL, tmp_path, {"a.jsonl": text}), 1)]
    assert [isinstance(value, LoadError) for value in found] == [False, True, False, True]
    assert str(BIG) in str(found[1])
    declared = spec_of(InputType.JSONL, tmp_path, {}, column_types={"n": "decimal(38, 9)"})
    assert str(outcomes(declared, 1)[1][1]["n"][0]) == f"{BIG}.000000000"


@pytest.mark.parametrize("kind", [InputType.PARQUET, InputType.JSONL])
def test_integers_within_lists_and_objects_keep_their_digits(tmp_path: Path, batches: Batches, kind: InputType) -> None:
    """Beside nulls too, where pandas has floats."""
    rows = [{"l": [1, None, BIG], "o": {"a": BIG, "b": None}}, {"l": None, "o": {"a": None, "b": [BIG, None]}}]
    data = pa.Table.from_pylist(rows) if kind is InputType.PARQUET else lines(*rows)
    (part,) = batches(spec_of(kind, tmp_path, {f"a.{kind}": data}))
    assert [list(part["l"][0]), part["o"][0]["a"], list(part["o"][1]["b"])] == [[1, None, BIG], BIG, [BIG, None]]


def test_an_empty_file_of_pandas_decides_nothing(tmp_path: Path, batches: Batches) -> None:
    """Its columns of objects have the null type."""
    files = {"a": D({"s": pd.Series([], dtype=object)}), "b": D({"s": ["x"]})}
    assert values_of(batches(spec_of(InputType.PARQUET, tmp_path, files))) == [["x"]]
    alone = spec_of(InputType.PARQUET, tmp_path / "alone", {"a": files["a"]})
    planned = open_dataset(alone, None)
    assert not list(planned.plan(map))
    assert "1 of 1 files yield no rows" in planned.warnings[0]
