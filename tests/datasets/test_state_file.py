"""dataset_states.bin: what datasets found out, of any size, and never a wrong byte of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.datasets import state_file
from mpibatch.datasets.files import FileDataset
from mpibatch.datasets.state_file import load_states, write_states
from mpibatch.errors import RunDirectoryError
from mpibatch.files import replacing


class Knows(FileDataset):
    """A dataset that has found `state` out."""

    def __init__(self, state: bytes = b"") -> None:
        super().__init__(Input("knows", InputType.FILES, ("/data",)), None)
        self.state = state

    def dump_state(self) -> bytes:
        return self.state

    def load_state(self, state: bytes) -> None:
        self.state = state


@pytest.mark.parametrize("states", [[], [b""], [b"a", b"", b"\0\xff" * 100], [bytes(40 << 20), b"after"]])
def test_what_is_written_is_loaded(states: list[bytes], tmp_path: Path) -> None:
    """Large ones too: within plan.parquet more than about 35 MiB could not be read back."""
    write_states(tmp_path / "states", [Knows(state) for state in states])
    readers = [Knows(b"?") for _ in states]
    load_states(tmp_path / "states", readers)
    assert [reader.state for reader in readers] == states
    assert [path.name for path in tmp_path.iterdir()] == ["states"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-1], "has other bytes"),
        (lambda data: data[:-9], "is cut off"),
        (lambda data: b"", "is cut off"),
        (lambda data: data[:-1] + b"x", "has other bytes"),
    ],
)
def test_a_damaged_file_is_an_error(damage: Callable[[bytes], bytes], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "states"
    write_states(path, [Knows(b"first"), Knows(b"second")])
    path.write_bytes(damage(path.read_bytes()))
    untouched = [Knows(b"1"), Knows(b"2")]
    with pytest.raises(RunDirectoryError, match=f"cannot read {path}: it {reason}"):
        load_states(path, untouched)
    assert [one.state for one in untouched] == [b"1", b"2"]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="No such file"):
        load_states(tmp_path / "states", [Knows()])


def test_what_cannot_be_read_back_is_an_error_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first mini-batch is granted: a disk that loses bytes silently."""

    @contextmanager
    def lossy(path: Path) -> Iterator[BinaryIO]:
        with replacing(path) as file:
            yield file
        os.truncate(path, path.stat().st_size - 1)

    monkeypatch.setattr(state_file, "replacing", lossy)
    with pytest.raises(RunDirectoryError, match="has other bytes"):
        write_states(tmp_path / "states", [Knows(b"some")])
