"""No value becomes another one on the way to `run()`: neither by a cast nor by a lenient reader."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.datasets.base import LoadError

BIG = 2**53 + 1


def write(folder: Path, files: dict[str, Any], **options: Any) -> Input:
    """An input over these files: tables, or rows of JSON, one of them as it is written."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(data, pa.Table):
            path.write_bytes(data if isinstance(data, bytes) else "".join(map("{}\n".format, data)).encode())
        elif path.suffix == ".arrow":
            with pa.ipc.new_file(path, data.schema) as file:
                file.write_table(data)
        else:
            pq.write_table(data, path)
    return Input("table", InputType(path.suffix[1:]), (str(folder),), **options)


def outcome(found: Any) -> Any:
    return [str(value) if isinstance(value, LoadError) else value.values.tolist() for _, value in found]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([1]), pa.array(["007"])),
        (pa.array([True]), pa.array([5])),
        (pa.array([1], pa.timestamp("us")), pa.array([1], pa.timestamp("us", "UTC"))),
        (pa.array([b"a"]), pa.array(["a"])),
    ],
)
def test_types_without_a_common_one_are_not_cast(tmp_path: Path, outcomes: Any, first: Any, second: Any) -> None:
    """Text as numbers would lose its zeros; the file that is unlike the first fails, with the mend."""
    spec = write(tmp_path, {"a.parquet": pa.table({"x": first}), "b.parquet": pa.table({"x": second})})
    good, bad = outcome(outcomes(spec))
    assert len(good) == 1
    assert "nothing in common; declare a type that takes both: column_types: {x: string}" in bad


@pytest.mark.parametrize(
    ("values", "declared", "expected"),
    [
        ([5, 1], "bool", None),
        ([0, 1], "bool", [[False], [True]]),
        ([datetime(2020, 1, 1, 5)], "date32", None),
        ([datetime(2020, 1, 1)], "date32", [[datetime(2020, 1, 1)]]),
        ([Decimal("1.12345678901234567890")], "float64", None),
        ([Decimal("0.10")], "float64", [[0.1]]),
        ([BIG], "float64", None),
        ([7], "decimal(3, 1)", [[Decimal("7.0")]]),
    ],
)
def test_declared_types_take_what_they_hold(
    tmp_path: Path, outcomes: Any, values: list[Any], declared: str, expected: Any
) -> None:
    spec = write(tmp_path, {"a.parquet": pa.table({"x": values})}, column_types={"x": declared})
    (found,) = outcome(outcomes(spec))
    assert found == expected or (expected is None and "declare a type that takes both" in found)


def test_decimals_among_floats(tmp_path: Path, outcomes: Any) -> None:
    tables = [pa.table({"x": [Decimal("1.12345678901234567890")]}), pa.table({"x": [1.5]})]
    lossy, good = outcome(outcomes(write(tmp_path, {f"{at}.parquet": each for at, each in enumerate(tables)})))
    assert "double does not hold all the values exactly" in lossy
    assert good == [[1.5]]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_rows_of_which_only_the_folder_is_wanted(tmp_path: Path, batches: Any, kind: str) -> None:
    """Arrow's tables without columns forget how many rows they have."""
    table = pa.table({"v": [1, 2, 3]})
    spec = write(tmp_path, {f"y=1/a.{kind}": table, f"y=2/a.{kind}": table}, columns=("y",))
    assert [part["y"].tolist() for part in batches(spec)] == [[1] * 3, [2] * 3]


FULL, LACKING = pa.table({"x": [1], "y": [2]}), pa.table({"x": [3, 4]})
JSON_FULL, JSON_LACKING = ['{"x": 1, "y": 2}'], ['{"x": 3}', '{"x": 4}']


@pytest.mark.parametrize(
    ("kind", "full", "lacking"),
    [
        ("parquet", FULL, LACKING),
        ("arrow", FULL, LACKING),
        ("csv", b"x,y\n1,2\n", b"x\n3\n4\n"),
        ("jsonl", JSON_FULL, JSON_LACKING),
    ],
)
@pytest.mark.parametrize("columns", [("x", "y"), ("y",)])
def test_columns_that_other_files_lack(
    tmp_path: Path, batches: Any, kind: str, full: Any, lacking: Any, columns: tuple[str, ...]
) -> None:
    """Where `columns` names them; a file may have none of them, the first one too."""
    for order in ("ab", "ba"):
        files = {f"{order}/{name}.{kind}": data for name, data in zip(order, (full, lacking), strict=True)}
        write(tmp_path, files)
        found = batches(Input("table", InputType(kind), (str(tmp_path / order),), columns=columns))
        one, other = found if order == "ab" else reversed(found)
        assert one["y"].tolist() == [2]
        assert other["y"].isna().tolist() == [True, True]
        assert one.dtypes.equals(other.dtypes)


def test_keys_that_other_files_lack(tmp_path: Path, batches: Any) -> None:
    """All of JSON's rows may lack any, and a whole number is not 2.0 in one mini-batch and 2 in another."""
    first, second = batches(write(tmp_path, {"a.jsonl": JSON_FULL, "b.jsonl": JSON_LACKING}))
    assert first.dtypes.equals(second.dtypes)
    assert second["y"].isna().tolist() == [True, True]


def test_runs_of_values(tmp_path: Path, batches: Any) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], pa.int32()), pa.array(["x", "y"]))
    (part,) = batches(write(tmp_path, {"a.arrow": pa.table({"k": runs})}))
    assert part["k"].tolist() == ["x", "x", "y", "y"]


@pytest.mark.parametrize("row", ["null", "5", "[1]", '"x"', "  null"])
@pytest.mark.parametrize("place", [0, 1])
def test_rows_of_json_that_are_no_objects(tmp_path: Path, outcomes: Any, row: str, place: int) -> None:
    """pyarrow takes null for an object without fields, and crashes where it comes first."""
    rows = ['{"a": 1}', '{"a": 2}']
    rows.insert(place, row)
    found = outcome(outcomes(write(tmp_path, {"a.jsonl": rows}), 1))
    assert found.pop(place).endswith(f"a row is no JSON object: {row.strip()}")
    assert found == [[[1]], [[2]]]


def test_json_that_is_no_utf8(tmp_path: Path, outcomes: Any) -> None:
    bad, good = outcome(outcomes(write(tmp_path, {"a.jsonl": b'{"a":"caf\xe9"}\n{"a":"tea"}\n'}), 1))
    assert "a row is not UTF-8" in bad
    assert good == [["tea"]]


@pytest.mark.parametrize("value", [[BIG, 1.5], {"x": [{"y": BIG}]}, [10**30]])
def test_long_numbers_among_fractions_within_lists_and_objects(tmp_path: Path, outcomes: Any, value: Any) -> None:
    other = [2.5] if isinstance(value, list) else {"x": [{"y": 2.5}]}
    spec = write(tmp_path, {"a.jsonl": map(json.dumps, [{"a": value}, {"a": other}])})
    assert "float64 does not hold exactly, among fractions" in outcome(outcomes(spec, 1))[0]


@pytest.mark.parametrize(
    ("types", "said"),
    [
        ({}, "column 'a' was settled as list<item: double> from samples; another type can be declared"),
        ({"b": "Int64"}, "column 'b' is read as int64, for column_types declares it"),
    ],
)
def test_json_of_another_type_says_which_column(
    tmp_path: Path, outcomes: Any, types: dict[str, str], said: str
) -> None:
    rows = [{"a": [1.5], "b": 1}, {"a": [2.5], "b": 2}, {"a": [1.5], "b": 1.5} if types else {"a": ["x"], "b": 1}]
    found = outcome(outcomes(write(tmp_path, {"a.jsonl": map(json.dumps, rows)}, column_types=types), 1))
    assert said in found[2]


def test_csv_says_which_setting_declared_the_type(tmp_path: Path, outcomes: Any) -> None:
    spec = write(
        tmp_path,
        {"a.csv": ["i,d", "1,1.25", "2.5,1", "300,1", "3,1.255"]},
        column_types={"i": "int8", "d": "decimal(4, 2)"},
    )
    good, *bad = outcome(outcomes(spec, 1))
    assert good == [[1, Decimal("1.25")]]
    assert all("column_types declares the type: declare one that takes all values" in found for found in bad)
