"""Text output: one line per row whatever is returned, and a clear refusal of what has no rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.choices import OutputAction
from mpibatch.config.schema import RowFormat
from mpibatch.output import open_encoder, open_format
from mpibatch.output.base import Encoded, InvalidReturn

TEXT = open_encoder("out.txt", RowFormat())
ALL = [open_encoder(f"out{suffix}", RowFormat()) for suffix in (".txt", ".csv", ".jsonl", ".parquet")]
ALL.append(open_encoder("out.txt", RowFormat(), OutputAction.SUMMARY_ONLY))


@pytest.mark.parametrize(
    ("returned", "lines"),
    [
        (["a", "b c"], "a\nb c\n"),
        (("a", 1, None, 0.5), "a\n1\nNone\n0.5\n"),
        ([], ""),
        ([""], "\n"),
        (["two\nlines", "cr\rlf\r\n"], "two\\nlines\ncr\\rlf\\r\\n\n"),
        (["\udcff.png: 3"], "\\udcff.png: 3\n"),
        ([{"a": 1}], "{'a': 1}\n"),
        ([np.arange(3)], "[0, 1, 2]\n"),
        (np.array([0.1, 2], dtype=np.float32), "0.1\n2.0\n"),
        (np.array([[1, 2], [3, 4]]), "1 2\n3 4\n"),
        (np.zeros((1, 1, 2), dtype=int), "[[0, 0]]\n"),
        (pd.Series(["x", "y"]), "x\ny\n"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y\nz"]}), "1 x\n2 y\\nz\n"),
        (
            pd.DataFrame({"t": pd.to_datetime(["2020-01-02"]), "f": np.array([0.1], dtype=np.float32)}),
            "2020-01-02 0.1\n",
        ),
        (pd.DataFrame({"a": []}), ""),
    ],
)
def test_row_forms(returned: Any, lines: str) -> None:
    """The table of the module's documentation."""
    encoded = TEXT.encode(returned)
    assert encoded.data.decode() == lines
    assert encoded.rows == len(returned)


@given(st.lists(st.text() | st.integers() | st.floats() | st.none()))
def test_rows_are_lines(returned: list[Any]) -> None:
    """No row is spliced or lost, whatever characters it holds."""
    encoded = TEXT.encode(returned)
    assert encoded.data.count(b"\n") == encoded.rows == len(returned)
    assert b"\r" not in encoded.data


@pytest.mark.parametrize("encoder", ALL)
@pytest.mark.parametrize(
    "returned",
    [
        None,
        "abc",
        b"abc",
        3,
        0.5,
        True,
        {"a": 1},
        {1, 2},
        (x for x in "ab"),
        np.array(3),
        np.float64(1),
        object,
        range,
    ],
)
def test_invalid_returns(encoder: Any, returned: Any) -> None:
    """Every format refuses the same things, and names the type."""
    with pytest.raises(InvalidReturn, match=type(returned).__name__):
        encoder.encode(returned)


def test_join_is_concatenation() -> None:
    parts = [TEXT.encode(["a"]), TEXT.encode([]), TEXT.encode(["b", "c"])]
    assert TEXT.join(parts) == TEXT.encode(["a", "b", "c"])


@pytest.mark.parametrize("returned", [["a", "b"], np.zeros((2, 3)), pd.DataFrame({"a": [1, 2]}), pd.Series([1, 2])])
def test_summary_only_counts(returned: Any) -> None:
    """Rows are counted, so that short returns show, and nothing is kept."""
    encoded = ALL[-1].encode(returned)
    assert (encoded.rows, encoded.data, encoded.schema) == (2, b"", b"")


def test_the_text_format_takes_everything() -> None:
    stream: Any = open_format("out.txt", RowFormat())
    assert stream.header(b"") == b""
    assert stream.merge_schema(None, b"") == b""


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"name": ["a b", 'say "x"', None], "value": [0.1, float("nan"), 1e-20]}),
        pd.DataFrame({"flag": [True, False], "day": pd.to_datetime(["2024-01-01", "2024-01-02"]), "n": [1, 2]}),
        pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "s": ["", "x"]}, index=[7, 3]),
    ],
    ids=["text and floats", "dates", "missing"],
)
def test_tables_are_written_as_to_csv_writes_them(frame: pd.DataFrame) -> None:
    """What those who read the file now were written for."""
    expected = frame.to_csv(sep=" ", header=None, index=None)  # type: ignore[call-overload]
    assert TEXT.encode(frame) == Encoded(len(frame), expected.encode())


def test_a_line_break_within_a_table_is_escaped() -> None:
    """A row stays a line."""
    encoded = TEXT.encode(pd.DataFrame({"a": ["x\ny", "z"], "b": [1, 2]}))
    assert encoded == Encoded(2, b"x\\ny 1\nz 2\n")
