"""partition_keys: one mini-batch per combination that exists, ordered by key, with exactly its items."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.datasets import open_dataset, text_slices
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

Outcomes = Callable[..., list[tuple[Any, Any]]]


def files(folder: Path, pattern: str, keys: tuple[str, ...], outcomes: Outcomes) -> dict[str, list[str]]:
    results = outcomes(Input("x", InputType.FILES, (str(folder / pattern),)), None, keys=keys)
    return {piece.key: [Path(path).relative_to(folder).as_posix() for path in value] for piece, value in results}


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_by_folders(tmp_path: Path, outcomes: Outcomes) -> None:
    """Keys in any order, more keys named than used, combinations sorted bytewise."""
    make(tmp_path, "ann/rock/1.wav", "ann/jazz/2.wav", "bob/rock/3.wav", "bob/rock/no.mp3", "\u00e9/jazz/4.wav")
    pattern = "{user}/{genre}/*.wav"
    assert files(tmp_path, pattern, ("genre", "user"), outcomes) == {
        '{"genre": "jazz", "user": "ann"}': ["ann/jazz/2.wav"],
        '{"genre": "jazz", "user": "\\u00e9"}': ["\u00e9/jazz/4.wav"],
        '{"genre": "rock", "user": "ann"}': ["ann/rock/1.wav"],
        '{"genre": "rock", "user": "bob"}': ["bob/rock/3.wav"],
    }
    assert list(files(tmp_path, pattern, ("user",), outcomes)) == [
        json.dumps({"user": user}) for user in ("ann", "bob", "\u00e9")
    ]


def test_keys_in_file_names(tmp_path: Path, outcomes: Outcomes) -> None:
    """A part of a name, several in one name, the same key twice, `**` and sets around them."""
    make(tmp_path, "a_1.x", "a_2.x", "b_c_1.x", "a/b/a_9.x", "z/b/a_9.x", "q.x")
    assert files(tmp_path, "{who}_{n}.x", ("who",), outcomes) == {
        '{"who": "a"}': ["a_1.x", "a_2.x"],
        '{"who": "b_c"}': ["b_c_1.x"],
    }
    assert files(tmp_path, "**/{k}_[0-8].?", ("k",), outcomes)['{"k": "a"}'] == ["a_1.x", "a_2.x"]
    assert files(tmp_path, "{k}/*/*.x", ("k",), outcomes) == {
        '{"k": "a"}': ["a/b/a_9.x"],
        '{"k": "z"}': ["z/b/a_9.x"],
    }


def test_a_key_of_several_folders(tmp_path: Path, outcomes: Outcomes) -> None:
    """Dates are often written as folders; neither fewer nor more of them match."""
    make(tmp_path, "ann/2024/11/05/1.wav", "ann/2024/11/05/2.wav", "bob/2024/12/01/3.wav", "bob/2024/12/4.wav")
    make(tmp_path, "bob/2024/12/01/02/5.wav", "bob/2024/12/.01/6.wav")
    assert files(tmp_path, "{user}/{day:3}/*.wav", ("day",), outcomes) == {
        '{"day": "2024/11/05"}': ["ann/2024/11/05/1.wav", "ann/2024/11/05/2.wav"],
        '{"day": "2024/12/01"}': ["bob/2024/12/01/3.wav"],
    }
    assert files(tmp_path, "{user}/{day:2}/{rest}.wav", ("day", "rest"), outcomes) == {
        '{"day": "2024/12", "rest": "4"}': ["bob/2024/12/4.wav"],
    }


def test_files_that_cannot_be_partitioned(tmp_path: Path) -> None:
    make(tmp_path, "a/1.x", "list.txt")
    for spec, message in [
        (Input("x", InputType.FILES, (f"{tmp_path}/{{u}}/*",)), r"\['nope'\]; it names \['u'\]"),
        (Input("x", InputType.FILES, manifest=f"{tmp_path}/list.txt"), "manifest"),
    ]:
        with pytest.raises(InputError, match=message):
            list(open_dataset(spec, None, ("nope",)).plan(map))


rows = st.lists(
    st.tuples(st.sampled_from(["x", "y", "\u20ac,\n", ""]), st.none() | st.integers(-2, 2), st.integers(0, 99)),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("kind", [InputType.CSV, InputType.JSONL, InputType.PARQUET])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows, block=st.integers(5, 200))
def test_tables(
    *,
    tmp_path: Path,
    outcomes: Outcomes,
    monkeypatch: pytest.MonkeyPatch,
    kind: InputType,
    rows: list[tuple[str, int | None, int]],
    block: int,
) -> None:
    """Every row in the mini-batch of its key and in no other, in order, with the types of the whole."""
    monkeypatch.setattr(text_slices, "DEFAULT_SIZE", block)
    frame = pd.DataFrame(rows, columns=["name", "level", "value"])
    table = pa.table(
        {"name": frame["name"].tolist(), "level": [row[1] for row in rows], "value": frame["value"].tolist()}
    )
    table = table.set_column(1, "level", table["level"].cast(pa.int64()))
    path = tmp_path / f"data.{kind.value}"
    if kind is InputType.CSV:
        frame.assign(level=frame["level"].astype("Int64")).to_csv(path, index=False)
    elif kind is InputType.JSONL:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        pq.write_table(table, path, row_group_size=max(block // 20, 1))
    # A column without any value has no type that a CSV could tell.
    types = {"level": "Int64"} if kind is InputType.CSV else {}
    results = outcomes(Input("t", kind, (str(path),), column_types=types), None, keys=("level", "name"))
    groups: dict[tuple[int | None, str], list[int]] = {}
    for name, level, value in rows:
        groups.setdefault((level, name), []).append(value)
    order = sorted(groups, key=lambda key: (key[0] is None, key[0] or 0, key[1]))
    assert [json.loads(piece.key) for piece, _ in results] == [{"level": level, "name": name} for level, name in order]
    for (_, value), key in zip(results, order, strict=True):
        assert value["value"].tolist() == groups[key]
        assert set(value["name"]) == {key[1]}
        assert value.dtypes.equals(results[0][1].dtypes)
        assert list(value.index) == list(range(len(value)))


def test_blocks_that_cannot_be_read_fail_alone(
    tmp_path: Path, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows have no key; those of the other blocks are all there."""
    monkeypatch.setattr(text_slices, "DEFAULT_SIZE", 1)
    path = tmp_path / "data.csv"
    path.write_text("k,v\na,1\nb,2,3\na,4\n")
    results = outcomes(Input("t", InputType.CSV, (str(path),)), None, keys=("k",))
    assert results[0][1]["v"].tolist() == [1, 4]
    assert results[1][0].key == ""
    assert isinstance(results[1][1], LoadError)
    assert "Expected 2 columns, got 3" in str(results[1][1])


def test_key_columns_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("k,v\na,1\n")
    with pytest.raises(InputError, match=r"\['nope'\] are no columns; there are \['k', 'v'\]"):
        list(open_dataset(Input("t", InputType.CSV, (str(path),)), None, ("nope",)).plan(map))
    with pytest.raises(InputError, match="hdf5"):
        open_dataset(Input("t", InputType.HDF5, (str(path),)), None, ("k",))


def test_failed_rows_of_a_group(tmp_path: Path) -> None:
    """Files and numbers are all that can be told of scattered rows."""
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("k,v\nx,1\ny,2\nx,3\n")
    data = open_dataset(Input("t", InputType.CSV, (str(tmp_path),)), None, ("k",))
    first = next(iter(list(data.plan(map))))
    assert first.items == 4
    named = {Path(item.item).name: item.count for item in data.failed_items(first.payload, None, 4)}
    assert named == {"a.csv": 2, "b.csv": 2}
    assert [Path(item.item).name for item in data.failed_items(first.payload, [3], 4)] == ["b.csv"]
    assert data.count_items(first.payload) == 4
