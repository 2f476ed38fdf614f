"""Columns that paths tell, and columns that are left out: of every table format, with partition_keys too."""

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.errors import InputError
from tests.datasets.conftest import Batches, run

FRAMES = {"2023/north": [1, 2], "2023/south": [3], "2024/north": [4, 5, 6]}
SUFFIXES = {
    InputType.CSV: "csv",
    InputType.JSONL: "jsonl",
    InputType.PARQUET: "parquet",
    InputType.ARROW: "arrow",
    InputType.ORC: "orc",
}


def write(folder: Path, kind: InputType) -> None:
    """FOLDER/<year>/<region>.<suffix>, of columns a and b."""
    for name, values in FRAMES.items():
        path = folder / f"{name}.{SUFFIXES[kind]}"
        path.parent.mkdir(exist_ok=True, parents=True)
        frame = pd.DataFrame({"a": values, "b": [f"b{value}" for value in values]})
        match kind:
            case InputType.CSV:
                frame.to_csv(path, index=False)
            case InputType.JSONL:
                frame.to_json(path, orient="records", lines=True)
            case InputType.PARQUET:
                frame.to_parquet(path, index=False)
            case InputType.ARROW:
                frame.to_feather(path)
            case _:
                frame.to_orc(path, index=False)


def joined(frames: list[Any]) -> Any:
    return pd.concat(frames, ignore_index=True)


def spec(folder: Path, kind: InputType, **options: Any) -> Input:
    path = f"{folder}/{{year}}/{{region}}.{SUFFIXES[kind]}"
    return Input(name="t", type=kind, **{"paths": (path,), **options})


@pytest.mark.parametrize("kind", SUFFIXES)
def test_keys_of_the_path_are_columns(tmp_path: Path, batches: Batches, kind: InputType) -> None:
    """Text unless a type is declared."""
    write(tmp_path, kind)
    rows = joined(batches(spec(tmp_path, kind, column_types={"year": "int64"})))
    assert list(rows.columns) == ["a", "b", "year", "region"]
    assert rows["year"].tolist() == [2023, 2023, 2023, 2024, 2024, 2024]
    assert rows["region"].tolist() == ["north", "north", "south", "north", "north", "north"]
    assert rows["a"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", SUFFIXES)
def test_the_path_itself_and_columns_left_out(tmp_path: Path, batches: Batches, kind: InputType) -> None:
    write(tmp_path, kind)
    told = spec(tmp_path, kind, path_column="from", drop_columns=("b", "region"))
    (first, *_) = batches(told)
    assert list(first.columns) == ["a", "year", "from"]
    assert set(first["from"]) == {f"{tmp_path}/2023/north.{SUFFIXES[kind]}"}
    (chosen, *_) = batches(spec(tmp_path, kind, columns=("region", "a")))
    assert list(chosen.columns) == ["region", "a"]


@pytest.mark.parametrize("kind", SUFFIXES)
def test_partition_keys_may_be_keys_of_the_path(tmp_path: Path, kind: InputType) -> None:
    write(tmp_path, kind)
    found = run(spec(tmp_path, kind), keys=("region", "year"))
    assert [(value["region"][0], value["year"][0], value["a"].tolist()) for _, value in found] == [
        ("north", "2023", [1, 2]),
        ("north", "2024", [4, 5, 6]),
        ("south", "2023", [3]),
    ]


def test_a_column_of_the_files_is_theirs(tmp_path: Path, batches: Batches) -> None:
    (tmp_path / "1.csv").write_text("day\n7\n")
    (rows,) = batches(Input(name="t", type=InputType.CSV, paths=(f"{tmp_path}/{{day}}.csv",)))
    assert rows["day"].tolist() == [7]


def test_files_that_tell_less_have_nulls(tmp_path: Path, batches: Batches) -> None:
    """One named beside the glob, compressed."""
    (tmp_path / "day1.csv").write_text("a\n1\n")
    with gzip.open(tmp_path / "other.csv.gz", "wt") as file:
        file.write("a\n2\n")
    paths = (f"{tmp_path}/day{{day}}.csv", f"{tmp_path}/other.csv.gz")
    rows = joined(batches(Input(name="t", type=InputType.CSV, paths=paths)))
    assert rows["day"].fillna("?").tolist() == ["1", "?"]


def test_what_is_refused(tmp_path: Path) -> None:
    write(tmp_path, InputType.CSV)
    with pytest.raises(InputError, match="drop_columns names 'regoin'; did you mean region"):
        run(spec(tmp_path, InputType.CSV, drop_columns=("regoin",)))
    with pytest.raises(InputError, match="column_types, 'year'"):
        run(spec(tmp_path, InputType.CSV, column_types={"year": "innt"}))
    ((_, error), *_) = run(spec(tmp_path, InputType.CSV, column_types={"region": "int64"}))
    assert "north.csv: region is 'north'" in str(error)
