"""Tar archives: every file in them is an item once, with its bytes and its name; none gets out of its folder."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

Batches = Callable[..., list[Any]]


def archive(path: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    """An archive of these files, compressed as its name says."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as made:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(data), kind
            entry.linkname = "elsewhere" if kind == tarfile.SYMTYPE else ""
            made.addfile(entry, io.BytesIO(data))
    data = sink.getvalue()
    if path.suffix in (".gz", ".tgz"):
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pa.Codec("zstd").compress(data, asbytes=True)
    path.write_bytes(data)
    return path


def spec_of(path: Path) -> Input:
    return Input("shards", InputType.TAR, (str(path),))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.zst"])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 1, 0]])
def test_members_are_files(tmp_path: Path, name: str, order: list[int]) -> None:
    """In any order of mini-batches; long names, empty files and large ones; gone with the mini-batch."""
    files = {f"{at}/{'x' * 150 * (at % 2)}\u20ac.bin": bytes([at]) * (at * 300_000) for at in range(8)}
    spec = spec_of(archive(tmp_path / name, files))
    planner = open_dataset(spec, Size(3, Unit.ITEMS))
    splits = list(planner.plan(map))
    assert [split.items for split in splits] == [3, 3, 2]
    executor = open_dataset(spec, Size(3, Unit.ITEMS))
    for at in order:
        loaded = executor.load(splits[at].payload)
        expected = list(files.items())[3 * at : 3 * at + 3]
        assert [Path(path).read_bytes() for path in loaded.value] == [data for _, data in expected]
        assert all(path.endswith("/" + inner) for path, (inner, _) in zip(loaded.value, expected, strict=True))
        part, first = loaded.slice(1, 2), loaded.value[1]
        del loaded
        assert os.path.exists(first)
        del part
        assert not os.path.exists(first)


def test_names_that_repeat_or_lead_elsewhere(tmp_path: Path) -> None:
    """Both of one name are items; what would be written outside fails; links are no items."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as made:
        for content in (b"1", b"2"):
            entry = tarfile.TarInfo("a")
            entry.size = 1
            made.addfile(entry, io.BytesIO(content))
    (tmp_path / "1.tar").write_bytes(sink.getvalue())
    archive(tmp_path / "2.tar", {"../../evil": b"x"})
    archive(tmp_path / "3.tar", {"/etc/absolute": b"x"})
    archive(tmp_path / "4.tar", {"link": b""}, tarfile.SYMTYPE)
    data = open_dataset(spec_of(tmp_path), None)
    splits = list(data.plan(map))
    assert "4.tar" in " ".join(data.warnings)
    twice = data.load(splits[0].payload)
    assert [Path(path).read_bytes() for path in twice.value] == [b"1", b"2"]
    with pytest.raises(LoadError, match="leads out"):
        data.load(splits[1].payload)
    absolute = data.load(splits[2].payload)
    assert absolute.value[0].endswith("/etc/absolute")
    assert not absolute.value[0].startswith("/etc")
    assert len(splits) == 3


def test_broken_archives_fail_alone(tmp_path: Path, outcomes: Any) -> None:
    """Cut short in a header, no archive at all."""
    whole = archive(tmp_path / "1.tar", {"a": b"x" * 5000, "b": b"y"})
    (tmp_path / "2.tar").write_bytes(b"no archive at all" * 100)
    archive(tmp_path / "3.tar.gz", {"a": os.urandom(5000)})
    cut = (tmp_path / "3.tar.gz").read_bytes()
    (tmp_path / "3.tar.gz").write_bytes(cut[: len(cut) // 2])
    found = outcomes(spec_of(tmp_path))
    assert [isinstance(value, LoadError) for _, value in found] == [False, True, True]
    assert "2.tar" in str(found[1][1])
    with whole.open("ab") as file:
        file.write(b"\0" * 512)


def test_an_archive_that_has_changed(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", {"a": b"x"})
    data = open_dataset(spec_of(path), None)
    (split,) = data.plan(map)
    archive(path, {"a": b"yy", "b": b""})
    os.utime(path, (1, 1))
    with pytest.raises(LoadError, match="has changed"):
        data.load(split.payload)


def test_failed_members_are_named(tmp_path: Path) -> None:
    data = open_dataset(spec_of(archive(tmp_path / "a.tar", {"x/1": b"", "x/2": b""})), None)
    (split,) = data.plan(map)
    assert [item.item for item in data.failed_items(split.payload, [1], 2)] == [f"{tmp_path}/a.tar/x/2"]
    assert data.planned_files(split.payload)[0][0] == f"{tmp_path}/a.tar"
    with pytest.raises(InputError, match="not for tar"):
        open_dataset(spec_of(tmp_path), None, ("k",))
