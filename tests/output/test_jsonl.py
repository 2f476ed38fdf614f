"""JSON lines output: strict JSON, one value a line, and a round trip through another reader."""

import json
from collections import namedtuple
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input, RowFormat
from mpibatch.datasets import open_dataset
from mpibatch.output import open_encoder, open_format
from mpibatch.output.base import InvalidReturn

Point = namedtuple("Point", "x y")
JSONL = open_encoder("out.jsonl", RowFormat())


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (["a\nb", 1, None, True, 0.5], '"a\\nb"\n1\nnull\ntrue\n0.5\n'),
        ([], ""),
        ([float("nan"), [float("inf")], {"a": np.float32("nan")}], 'null\n[null]\n{"a": null}\n'),
        ([{"a": 1}, {"b": [1, {"c": None}]}], '{"a": 1}\n{"b": [1, {"c": null}]}\n'),
        ([(1, "x")], '[1, "x"]\n'),
        ([Point(1, 2)], '{"x": 1, "y": 2}\n'),
        ([np.int64(3), np.float32(0.5), np.arange(2), np.bool_(True)], "3\n0.5\n[0, 1]\ntrue\n"),
        ([datetime(2020, 1, 2, 3), date(2020, 1, 2), pd.NaT], '"2020-01-02T03:00:00"\n"2020-01-02"\nnull\n'),
        ([b"\xff", Path("p"), Decimal("1.5"), pd.NA, {2, 1}], '"\\\\xff"\n"p"\n"1.5"\nnull\n[1, 2]\n'),
        (["\udcff", "\u20ac"], '"\\udcff"\n"\u20ac"\n'),
        (np.array([1.5, np.nan]), "1.5\nnull\n"),
        (np.array([[1, 2]]), "[1, 2]\n"),
        (np.zeros((1, 2, 1), int), "[[0], [0]]\n"),
        (pd.Series([1]), "1\n"),
        (pd.Series([1], name="s"), '{"s": 1}\n'),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n'),
        (pd.DataFrame({"m": [1, "x", [2]]}), '{"m": 1}\n{"m": "x"}\n{"m": [2]}\n'),
        (pd.DataFrame({"c": pd.Categorical(["u"]), "l": [[1, 2]]}), '{"c": "u", "l": [1, 2]}\n'),
        (pd.DataFrame({"a": []}), ""),
    ],
)
def test_row_forms(returned: Any, text: str) -> None:
    """The table of the module's documentation."""
    encoded = JSONL.encode(returned)
    assert encoded.data.decode() == text
    assert encoded.rows == len(returned)
    for line in text.splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(values))
def test_reads_back(returned: list[Any]) -> None:
    """Any JSON value, in one line each."""
    encoded = JSONL.encode(returned)
    assert encoded.data.count(b"\n") == len(returned)
    lines = encoded.data.decode().split("\n")[:-1]
    assert [json.loads(line) for line in lines] == returned


def test_round_trip(tmp_path: Path) -> None:
    """What is written by one step is read by the next: strings, categories, times, nulls, nested lists."""
    frame = pd.DataFrame(
        {
            "text": ["a\n\u20ac", ""],
            "when": pd.to_datetime(["2020-01-02 03:04:05", "2021-01-01 00:00:00"]),
            "gap": [0.1, None],
            "kind": pd.Categorical(["u", "v"]),
            "list": [[1, 2], []],
        }
    )
    (tmp_path / "data.jsonl").write_bytes(JSONL.encode(frame).data)
    data = open_dataset(Input("x", InputType.JSONL, (str(tmp_path),)), None)
    (piece,) = data.plan(map)
    back = data.load(piece.payload).value
    assert back["text"].tolist() == frame["text"].tolist()
    assert back["when"].tolist() == frame["when"].tolist()
    assert back["gap"].equals(frame["gap"])
    assert back["kind"].tolist() == ["u", "v"]
    assert [list(value) for value in back["list"]] == [[1, 2], []]


def test_schema_and_refusals() -> None:
    encoder = open_encoder("o.jsonl", RowFormat(schema={"b": "int64", "a": "int64"}))
    assert encoder.encode([{"a": 1, "b": 2, "c": 3}]).data == b'{"b": 2, "a": 1}\n'
    with pytest.raises(InvalidReturn, match="missing"):
        encoder.encode([{"c": 1}])
    assert encoder.encode([{"a": 1}]).data == b'{"b": null, "a": 1}\n'
    with pytest.raises(InvalidReturn, match="JSON"):
        JSONL.encode([{"1": 3, (1, 2): 4, "(1, 2)": 5}])


def test_everything_fits() -> None:
    stream: Any = open_format("o.jsonl", RowFormat())
    assert stream.header(b"") == b""
    assert stream.merge_schema(b"", b"") == b""
    parts = [JSONL.encode([1]), JSONL.encode(["x"])]
    assert JSONL.join(parts) == JSONL.encode([1, "x"])
