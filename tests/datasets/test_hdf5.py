"""HDF5: slices put together are the datasets read whole, cut along chunks; broken files fail alone."""

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.choices import ByteStrings, InputType
from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

Batches = Callable[..., list[Any]]


def spec_of(*paths: Path, datasets: tuple[str, ...] = ()) -> Input:
    return Input("field", InputType.HDF5, tuple(map(str, paths)), datasets=datasets)


def write(path: Path, rows: int, chunk: int | None = None) -> dict[str, Any]:
    arrays = {
        "images": np.random.default_rng(0).random((rows, 3, 2)),
        "run/labels": np.arange(rows),
        "run/names": [f"\u20ac{at}" for at in range(rows)],
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=(chunk, 3, 2) if chunk and name == "images" else None)
        file.attrs["title"] = "x"
        file["scalar"] = 3.0
    return arrays


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.integers(1, 50),
    chunk=st.one_of(st.none(), st.integers(1, 50)),
    size=st.one_of(st.none(), st.integers(1, 60)),
)
def test_splits_are_the_whole(tmp_path: Path, batches: Batches, rows: int, chunk: int | None, size: int | None) -> None:
    """Any sizes of rows, chunks and mini-batches; nested groups, strings, datasets without chunks."""
    path = tmp_path / "data.h5"
    chunk = min(chunk, rows) if chunk else None
    arrays = write(path, rows, chunk)
    parts = batches(spec_of(path), size, Unit.ROWS)
    assert set(parts[0]) == set(arrays)
    for name, array in arrays.items():
        joined = np.concatenate([part[name] for part in parts])
        assert joined.tolist() == np.asarray(array).tolist()
    starts = np.cumsum([0] + [len(part["images"]) for part in parts[:-1]])
    step = size or chunk
    if chunk and step and step >= chunk:
        assert all(start % chunk == 0 for start in starts)
    assert not size or max(len(part["images"]) for part in parts) <= size


def test_selection_and_names(tmp_path: Path, batches: Batches) -> None:
    """Keys are as the job file writes them."""
    write(tmp_path / "data.h5", 4)
    (part,) = batches(spec_of(tmp_path / "data.h5", datasets=("/run/labels", "images")))
    assert list(part) == ["/run/labels", "images"]


def test_broken_files_fail_alone(tmp_path: Path, outcomes: Any) -> None:
    """Truncated, empty, without the dataset, of unequal lengths: each one mini-batch with its reason."""
    write(tmp_path / "1.h5", 4)
    (tmp_path / "2.h5").write_bytes((tmp_path / "1.h5").read_bytes()[:1000])
    (tmp_path / "3.h5").write_bytes(b"")
    with h5py.File(tmp_path / "4.h5", "w") as file:
        file["images"] = np.zeros((4, 3, 2))
    with h5py.File(tmp_path / "5.h5", "w") as file:
        file["images"] = np.zeros((4, 3, 2))
        file["run/labels"] = np.zeros(3)
    write(tmp_path / "6.h5", 2)
    results = outcomes(spec_of(tmp_path, datasets=("images", "run/labels")))
    kinds = [isinstance(value, LoadError) for _, value in results]
    assert kinds == [False, True, True, True, True, False]
    assert "truncated" in str(results[1][1])
    assert "no dataset 'run/labels'; there are images" in str(results[3][1])
    assert "differ in length" in str(results[4][1])
    assert all(f"{tmp_path}/{at}.h5, rows" in str(results[at - 1][1]) for at in range(2, 6))
    assert [piece.items for piece, _ in results] == [4, -1, -1, -1, -1, 2]


def test_nothing_usable(tmp_path: Path, batches: Batches) -> None:
    """A misspelt dataset is noticed before the job begins."""
    write(tmp_path / "1.h5", 4)
    with pytest.raises(InputError, match=r"no dataset 'imagse'; there are images"):
        batches(spec_of(tmp_path, datasets=("imagse",)))
    with pytest.raises(InputError, match="rows"):
        open_dataset(spec_of(tmp_path), Size(5, Unit.BYTES))
    with pytest.raises(InputError, match="URL"):
        open_dataset(Input("f", InputType.HDF5, ("s3://b/x.h5",)), None)


def test_a_file_that_is_being_written_elsewhere_can_be_read(tmp_path: Path, batches: Batches) -> None:
    """No file locks are taken: another reader or writer does not get in the way."""
    write(tmp_path / "1.h5", 4)
    with open(tmp_path / "1.h5", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        data = open_dataset(spec_of(tmp_path, datasets=("images",)), None)
        (piece,) = data.plan(map)
        assert data.load(piece.payload).items == 4


def test_failed_rows(tmp_path: Path) -> None:
    write(tmp_path / "1.h5", 40, chunk=10)
    data = open_dataset(spec_of(tmp_path), None)
    piece = list(data.plan(map))[2]
    (item,) = data.failed_items(piece.payload, [4], 10)
    assert (item.item, item.rows) == (str(tmp_path / "1.h5"), (24, 25))
    part = data.load(piece.payload).slice(4, 6)
    assert part.items == 2
    assert part.value["run/labels"].tolist() == [24, 25]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ByteStrings.TEXT, ["caf\udce9", "t\u20ac"]),
        (ByteStrings.LATIN_1, ["caf\xe9", "t\xe2\x82\xac"]),
        (ByteStrings.BYTES, [b"caf\xe9", "t\u20ac".encode()]),
    ],
)
@pytest.mark.parametrize("fixed", [True, False])
def test_byte_strings(tmp_path: Path, batches: Batches, wanted: ByteStrings, expected: list[Any], fixed: bool) -> None:
    """Strings that are no UTF-8 lose nothing, whatever the option; of fixed and of variable length."""
    data = [b"caf\xe9", "t\u20ac".encode()]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("s", data=np.array(data) if fixed else data, dtype=None if fixed else h5py.string_dtype())
    (part,) = batches(Input("f", InputType.HDF5, (str(tmp_path / "a.h5"),), byte_strings=wanted))
    assert part["s"].tolist() == expected


def test_files_without_rows_are_named(tmp_path: Path, batches: Batches) -> None:
    write(tmp_path / "1.h5", 0)
    write(tmp_path / "2.h5", 1)
    data = open_dataset(spec_of(tmp_path), None)
    assert len(list(data.plan(map))) == 1
    assert "1.h5" in data.warnings[0]
