"""CSV output: what a reader gets back is what was returned, with the header once and the names kept."""

import csv
import io
from collections import namedtuple
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.schema import RowFormat
from mpibatch.output import open_encoder, open_format
from mpibatch.output.base import InvalidReturn

Point = namedtuple("Point", "x y")


def written(*returned: Any, fmt: RowFormat | None = None, file: str = "out.csv") -> str:
    """The file that these mini-batches make."""
    fmt = fmt or RowFormat()
    encoder, stream = open_encoder(file, fmt), open_format(file, fmt)
    declared, data = None, b""
    for value in returned:
        encoded = encoder.encode(value)
        assert encoded.rows == len(value)
        if encoded.rows:
            declared = stream.merge_schema(declared, encoded.schema)
            assert declared is not None
        data += encoded.data
    header: bytes = stream.header(declared) if declared else b""  # type: ignore[union-attr]
    return (header + data).decode()


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (["a", "b"], "a\nb\n"),
        (["a,b", 'q"', "n\nl", ""], '"a,b"\n"q"""\n"n\nl"\n""\n'),
        ([1, 0.5, True, None], '1\n0.5\ntrue\n""\n'),
        ([float("nan")], '""\n'),
        ([("a", 1), ("b", 2)], "a,1\nb,2\n"),
        ([[1, None, [1, 2]]], '1,,"[1, 2]"\n'),
        ([{"a": 1, "b": "x"}, {"b": "y", "c": 2}], "a,b,c\n1,x,\n,y,2\n"),
        ([Point(1, 2)], "x,y\n1,2\n"),
        ([np.array([1, 2])], "1,2\n"),
        (np.array([1.5, np.nan]), '1.5\n""\n'),
        (np.array([[1, 2], [3, 4]]), "1,2\n3,4\n"),
        (np.zeros((1, 2, 2), dtype=int), '"[0, 0]","[0, 0]"\n'),
        (np.array([(1, 0.5)], dtype=[("i", int), ("f", float)]), "i,f\n1,0.5\n"),
        (pd.Series([1, 2]), "1\n2\n"),
        (pd.Series([1, 2], name="s"), "s\n1\n2\n"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", 'y"\n']}), 'a,b\n1,"x"\n2,"y""\n"\n'),
        (pd.DataFrame({"a": [True, None]}), 'a\ntrue\n""\n'),
        (pd.DataFrame({"mixed": [1, "x"]}), 'mixed\n"1"\n"x"\n'),
        (pd.DataFrame({"l": [[1, 2], None]}), 'l\n"[1, 2]"\n""\n'),
        (pd.DataFrame({"c": pd.Categorical(["u", "v"])}), 'c\n"u"\n"v"\n'),
        (pd.DataFrame([[1, 2]], columns=["same", "same"]), "same,same\n1,2\n"),
        (pd.DataFrame([[1, 2]]), "0,1\n1,2\n"),
    ],
)
def test_row_forms(returned: Any, text: str) -> None:
    """The table of the module's documentation."""
    assert written(returned) == text


def test_header_once_and_from_the_first_rows() -> None:
    """Mini-batches without rows have no say; those with the same columns need no second header."""
    frame = pd.DataFrame({"a": [1]})
    assert written(frame.iloc[:0], frame, [], frame) == "a\n1\n1\n"
    assert written(frame, fmt=RowFormat(header=False)) == "1\n"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_strings_read_back(returned: list[str]) -> None:
    """Any strings at all, read by another CSV reader."""
    rows = list(csv.reader(io.StringIO(written(returned), newline="")))
    assert [row[0] for row in rows] == returned


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.integers(-9, 9)),
        min_size=1,
    )
)
def test_frames_read_back(rows: list[tuple[str, int]]) -> None:
    frame = pd.DataFrame(rows, columns=["text", "number"])
    back = pd.read_csv(io.StringIO(written(frame), newline=""), keep_default_na=False, dtype={"text": str})
    assert back["text"].tolist() == frame["text"].tolist()
    assert back["number"].tolist() == frame["number"].tolist()


def test_pandas_options() -> None:
    """What pyarrow's writer lacks is written by pandas."""
    frame = pd.DataFrame({"f": [0.123456], "t": pd.to_datetime(["2020-01-02"])}, index=["r"])
    fmt = RowFormat(float_format="%.2f", date_format="%d/%m/%Y")
    assert written(frame, fmt=fmt) == "f,t\n0.12,02/01/2020\n"
    assert written(frame[["f"]], fmt=RowFormat(index=True)) == ",f\nr,0.123456\n"
    assert written([{"f": 0.5}], fmt=fmt) == "f\n0.50\n"
    assert written(np.array([0.5]), fmt=fmt) == "0.50\n"


def test_separator() -> None:
    assert written([("a;b", 1)], fmt=RowFormat(sep=";")) == '"a;b";1\n'
    assert written(pd.DataFrame({"a": [1], "b": [2]}), file="out.tsv") == "a\tb\n1\t2\n"
    assert written(["a\tb"], file="out.tsv") == '"a\tb"\n'


@pytest.mark.parametrize(
    "returned", [[1, "x"], pd.DataFrame({"a": [1]}), [{"a": 1}], [{"b": 1}]][1:], ids=["frame", "a", "b"]
)
def test_columns_that_do_not_fit(returned: Any) -> None:
    """Other columns than the file's are refused, with both named."""
    encoder, stream = open_encoder("o.csv", RowFormat()), open_format("o.csv", RowFormat())
    first = encoder.encode(pd.DataFrame({"x": [1], "y": [2]})).schema
    other = encoder.encode(returned).schema
    assert stream.merge_schema(first, other) is None
    assert "['x', 'y']" in stream.explain_mismatch(first, other)


def test_schema_orders_and_selects() -> None:
    """With append_row_format.schema the order of a dict's keys or a frame's columns does not matter."""
    fmt = RowFormat(schema={"b": "int64", "a": "string"})
    frame = pd.DataFrame({"a": ["x"], "extra": [0], "b": [1]})
    assert written(frame, [{"a": "y", "b": 2}], [(3, "z")], fmt=fmt) == 'b,a\n1,"x"\n2,y\n3,z\n'
    with pytest.raises(InvalidReturn, match="missing"):
        written([{"other": 1}], fmt=fmt)
    assert written([{"a": 1}], fmt=fmt) == "b,a\n,1\n"
    with pytest.raises(InvalidReturn, match="3 columns"):
        written([(1, 2, 3)], fmt=fmt)


@pytest.mark.parametrize("returned", [[{"a": 1}, "x"], [(1, 2), (1,)], [(1,), {"a": 1}]])
def test_mixed_rows(returned: Any) -> None:
    """Rows of several forms cannot share a table."""
    with pytest.raises(InvalidReturn):
        written(returned)


def test_join() -> None:
    """Parts of an isolated mini-batch are one value, unless their columns differ."""
    encoder = open_encoder("o.csv", RowFormat())
    frame = pd.DataFrame({"a": [1, 2]})
    parts = [encoder.encode(frame[:1]), encoder.encode([]), encoder.encode(frame[1:])]
    assert encoder.join(parts) == encoder.encode(frame)
    with pytest.raises(InvalidReturn, match="different columns"):
        encoder.join([parts[0], encoder.encode([{"b": 1}])])
