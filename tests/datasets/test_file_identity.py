"""A file that is no longer the one that was planned is not loaded, in any format; the error names it and the change."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pandas as pd
import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.datasets import open_dataset
from mpibatch.datasets.base import Dataset, LoadError

ROWS = [f"{number:04}" for number in range(200)]


def _text(path: Path, rows: list[str]) -> None:
    path.write_text("\n".join(["n", *rows, ""]))


def _jsonl(path: Path, rows: list[str]) -> None:
    path.write_text("".join(f'{{"n": "{row}"}}\n' for row in rows))


def _parquet(path: Path, rows: list[str]) -> None:
    pd.DataFrame({"n": rows}).to_parquet(path)


def _hdf5(path: Path, rows: list[str]) -> None:
    with h5py.File(path, "w") as file:
        file["n"] = [int(row) for row in rows]


FORMATS = [
    (InputType.FILES, "d.txt", _text, ()),
    (InputType.CSV, "d.csv", _text, ()),
    (InputType.CSV, "d.csv", _text, ("n",)),
    (InputType.JSONL, "d.jsonl", _jsonl, ()),
    (InputType.PARQUET, "d.parquet", _parquet, ()),
    (InputType.HDF5, "d.h5", _hdf5, ()),
]


class Planned:
    """One file of a format, and its dataset with the plan made."""

    def __init__(
        self, path: Path, type: InputType, write: Callable[[Path, list[str]], None], keys: tuple[str, ...]
    ) -> None:
        self.path, self.write = path, write
        write(path, ROWS)
        spec = Input("in", type, (str(path),))
        planner = open_dataset(spec, None, keys)
        self.payload = next(iter(list(planner.plan(map)))).payload
        self.dataset: Dataset = open_dataset(spec, None, keys)
        self.dataset.load_state(planner.dump_state())
        time.sleep(0.02)  # file systems keep time in ticks


@pytest.fixture(params=FORMATS, ids=lambda row: f"{row[0].value}{'-keys' * bool(row[3])}")
def planned(tmp_path: Path, request: pytest.FixtureRequest) -> Planned:
    type, name, write, keys = request.param
    return Planned(tmp_path / name, type, write, keys)


def test_what_is_as_it_was_is_loaded(planned: Planned) -> None:
    """Also after chmod."""
    planned.path.chmod(0o600)
    assert planned.dataset.load(planned.payload).items


def test_the_same_rows_in_another_order(planned: Planned) -> None:
    """Of the same size: nothing else would tell."""
    planned.write(planned.path, ROWS[::-1])
    with pytest.raises(LoadError, match=rf"{planned.path} has changed since the plan was made") as caught:
        planned.dataset.load(planned.payload)
    assert "--accept-changed-inputs" in str(caught.value)


def test_another_file_of_the_same_time_and_size(planned: Planned) -> None:
    """As a copy has that keeps times."""
    before = planned.path.stat()
    other = planned.path.with_name("other")
    other.write_bytes(planned.path.read_bytes())
    os.utime(other, ns=(before.st_mtime_ns, before.st_mtime_ns))
    other.rename(planned.path)
    with pytest.raises(LoadError, match="another file has its name"):
        planned.dataset.load(planned.payload)


@pytest.mark.parametrize("planned", [row for row in FORMATS if not row[3]], indirect=True)
def test_what_is_read_already_changes(planned: Planned) -> None:
    """A file that was loaded from before, and may still be open, is compared again.

    Not by keys: of these the blocks that were read as planned are kept.
    """
    planned.dataset.load(planned.payload)
    with planned.path.open("r+b") as file:
        file.write(file.read(1))
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    with pytest.raises(LoadError, match="has changed"):
        planned.dataset.load(planned.payload)


def test_accepted_changes_are_loaded(planned: Planned) -> None:
    """What --accept-changed-inputs means."""
    planned.write(planned.path, ROWS[::-1])
    planned.dataset.accept_changes()
    assert planned.dataset.load(planned.payload).items
