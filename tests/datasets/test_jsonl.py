"""JSON lines: slices put together are the file read whole; what does not fit fails alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.datasets import text_table
from mpibatch.datasets.base import LoadError

Batches = Callable[..., list[Any]]


def spec_of(path: Path, **options: Any) -> Input:
    return Input("events", InputType.JSONL, (str(path),), **options)


texts = st.text(st.sampled_from('ab"\n\r\u2028 \u20ac\U0001f600\\'), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-5, 5), st.floats(-9, 9), texts, st.lists(st.integers(0, 3))), min_size=1),
    step=st.integers(1, 90),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
    final=st.booleans(),
    mark=st.booleans(),
    ascii=st.booleans(),
)
def test_splits_are_the_whole(
    *,
    tmp_path: Path,
    batches: Batches,
    rows: list[tuple[int, float, str, list[int]]],
    step: int,
    end: str,
    final: bool,
    mark: bool,
    ascii: bool,
) -> None:
    """Any mini-batch size, escaped or wide characters on the cut, nested values, all line ends."""
    keys = ("number", "real", "text", "list")
    text = end.join(json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=ascii) for row in rows)
    path = tmp_path / "data.jsonl"
    path.write_bytes((text + (end if final else "")).encode("utf-8-sig" if mark else "utf-8"))
    parts: list[pd.DataFrame] = batches(spec_of(path), step)
    together = pd.concat(parts, ignore_index=True)
    assert [tuple(row) for row in together[["number", "real", "text"]].to_numpy()] == [row[:3] for row in rows]
    assert [list(value) for value in together["list"]] == [row[3] for row in rows]
    assert all(part.dtypes.equals(together.dtypes) and len(part) for part in parts)
    assert together["number"].dtype == "int64"


def test_optional_fields(tmp_path: Path, batches: Batches) -> None:
    """A field that only some rows have is a column of all mini-batches, of one type."""
    path = tmp_path / "data.jsonl"
    path.write_text('{"a": 1}\n{"b": 2, "s": {"x": 1}}\n{"a": 3, "s": {"y": "u"}}\n')
    parts = batches(spec_of(path), 1)
    assert [list(part.columns) for part in parts] == [["a", "b", "s"]] * 3
    assert {str(part["a"].dtype) for part in parts} == {"float64"}
    assert parts[1]["s"][0] == {"x": 1, "y": None}
    (frame,) = batches(spec_of(path, columns=("b",)))
    assert list(frame.columns) == ["b"]


def test_bad_rows_fail_alone(tmp_path: Path, outcomes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No JSON, another type, a field that no sample had: the mini-batch fails with bytes and reason."""
    monkeypatch.setattr(text_table, "SAMPLE_ALL", 50)
    monkeypatch.setattr(text_table, "SAMPLES", 1)
    good = '{"a": 1}'
    rows = [good, "{oops", good, '{"a": "x"}', '{"a": 1, "new": 2}', '{"a": 1', good]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(rows) + "\n")
    results = outcomes(spec_of(path), 1)
    failed = {at: str(value) for at, (_, value) in enumerate(results) if isinstance(value, LoadError)}
    assert sorted(failed) == [1, 3, 4, 5]
    assert all(f"{path}, bytes" in message for message in failed.values())
    assert "column_types" in failed[4]
