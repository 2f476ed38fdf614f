"""Lines of text: every line, also an empty one, is an item once, whatever the cut, the encoding and the compression."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.choices import EncodingErrors, InputType
from mpibatch.config.schema import Input
from mpibatch.config.values import Unit
from mpibatch.datasets import open_dataset, text_slices
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

Batches = Callable[..., list[Any]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=6), max_size=20),
    ends=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    size=st.integers(1, 20),
    unit=st.sampled_from([Unit.BYTES, Unit.ROWS]),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "utf-16"]),
    segment=st.integers(1, 20),
)
def test_lines_are_items(
    tmp_path: Path,
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    ends: str,
    last: bool,
    size: int,
    unit: Unit,
    encoding: str,
    segment: int,
) -> None:
    monkeypatch.setattr(text_slices, "SEGMENT", segment * 2)
    lines = [line.removesuffix("\r").removeprefix("\ufeff") for line in lines]
    (tmp_path / "a.txt").write_bytes((ends.join(lines) + (ends if last else "")).encode(encoding))
    parts = batches(Input("t", InputType.LINES, (str(tmp_path / "a.txt"),), encoding=encoding), size, unit)
    expected = lines if last or not lines or lines[-1] else lines[:-1]
    if not last and expected and ends == "\r\n":
        expected[-1] = expected[-1].removesuffix("\r")
    assert [line for part in parts for line in part] == (expected if lines else [""] if last else [])
    if unit is Unit.ROWS and parts:
        assert {len(part) for part in parts[:-1]} <= {size}


def test_compressed_and_what_is_no_text(tmp_path: Path, outcomes: Any) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\n\ntwo"))
    (tmp_path / "b.txt").write_bytes(b"caf\xe9\n")
    found = [value for _, value in outcomes(Input("t", InputType.LINES, (str(tmp_path),)))]
    assert found[0] == ["one", "", "two"]
    assert isinstance(found[1], LoadError)
    lenient = Input("t", InputType.LINES, (str(tmp_path),), encoding_errors=EncodingErrors.REPLACE)
    assert [value for _, value in outcomes(lenient)][1] == ["caf\ufffd"]


def test_failed_lines_are_located(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"0\n\n2\n")
    data = open_dataset(Input("t", InputType.LINES, (str(tmp_path / "a.txt"),)), None)
    (split,) = data.plan(map)
    assert [item.bytes for item in data.locate_items(split.payload, [1, 2], 3)] == [(2, 3), (3, 5)]
    assert data.count_items(split.payload) == 3


def test_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not for lines"):
        open_dataset(Input("t", InputType.LINES, (str(tmp_path),)), None, ("k",))
