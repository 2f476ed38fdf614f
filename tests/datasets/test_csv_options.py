"""Options of CSV inputs: each row is read once whatever is escaped, commented or passed over, at any cut."""

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.choices import EncodingErrors, InputType, LineEnds, QuotedNewlines
from mpibatch.config.schema import Input
from mpibatch.config.values import Unit
from mpibatch.datasets import open_dataset, text_slices
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

Batches = Callable[..., list[Any]]


def spec_of(folder: Path, files: dict[str, Any], **options: Any) -> Input:
    """A CSV input over these files."""
    for name, data in files.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return Input("table", InputType.CSV, (str(folder / "data"),), **options)


def values_of(parts: list[Any]) -> list[list[str]]:
    return [[str(cell) for cell in row] for part in parts for row in part.itertuples(index=False)]


_fields = st.text(st.sampled_from('ab"#\\,;\n\r '), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(_fields, _fields), min_size=1, max_size=8),
    comments=st.lists(st.text(st.sampled_from('"#, a'), max_size=5), max_size=4),
    size=st.integers(1, 30),
    by_rows=st.booleans(),
    segment=st.integers(1, 40),
    wide=st.booleans(),
)
def test_comments_between_rows(
    tmp_path: Path,
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[str, str]],
    comments: list[str],
    size: int,
    by_rows: bool,
    segment: int,
    wide: bool,
) -> None:
    """Rows of any text with comments anywhere, the head included; quotes in comments mean nothing."""
    monkeypatch.setattr(text_slices, "SEGMENT", segment * 2)
    encoding = "utf-16-le" if wide else "utf-8"
    lines = [_line(("x", "y")), *map(_line, rows)]
    for at, comment in enumerate(comments):
        lines.insert(at * 3 % (len(lines) + 1), f"#{comment}\n")
    spec = spec_of(
        tmp_path,
        {"a.csv": "".join(lines).encode(encoding)},
        comment="#",
        encoding=encoding,
        quoted_newlines=QuotedNewlines.TRUE,
        column_types={"x": "string", "y": "string"},
    )
    parts = batches(spec, size, Unit.ROWS if by_rows else Unit.BYTES)
    assert values_of(parts) == [list(row) for row in rows]


def _line(row: tuple[str, str]) -> str:
    sink = io.StringIO()
    csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(row)
    return sink.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(_fields, _fields), min_size=1, max_size=8),
    size=st.integers(1, 30),
    segment=st.integers(1, 40),
    quote=st.sampled_from(['"', ""]),
)
def test_escapes(
    tmp_path: Path,
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[str, str]],
    size: int,
    segment: int,
    quote: str,
) -> None:
    """What is escaped is text, within quotes and without them, at any cut."""
    monkeypatch.setattr(text_slices, "SEGMENT", segment)
    special = '"\\,' + ("" if quote else "\n\r")

    def written(field: str) -> str:
        return quote + "".join(f"\\{letter}" if letter in special else letter for letter in field) + quote

    text = "x,y\n" + "".join(",".join(map(written, row)) + "\n" for row in rows if quote or any(map(str.strip, row)))
    spec = spec_of(tmp_path, {"a.csv": text}, escape="\\", quote=quote, column_types={"x": "string", "y": "string"})
    expected = [list(row) for row in rows if quote or any(map(str.strip, row))]
    assert values_of(batches(spec, size)) == expected


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("made by hand\n\nx,y\n1,2\n", {"skip_rows": 2}, [["1", "2"]]),
        ("a\rb\rx,y\r1,2\r", {"skip_rows": 2}, [["1", "2"]]),
        ('it"s\nx,y\n1,2\n', {"skip_rows": 1}, [["1", "2"]]),
        ("#c\nx,y\n#d\n1,2\n#e", {"comment": "#"}, [["1", "2"]]),
        ("v\n#c\nx,y\n1,#2\n", {"comment": "#", "skip_rows": 1}, [["1", "#2"]]),
        ("x,y\na\rb,1\r\nc,2\r\n", {"line_ends": LineEnds.LF}, [["a\rb", "1"], ["c", "2"]]),
        ('x,y\n"a\rb",1\n', {"line_ends": LineEnds.LF}, [["a\rb", "1"]]),
        ("x\nz,y\ra\nb,1\rc,2\r", {"line_ends": LineEnds.CR}, [["a\nb", "1"], ["c", "2"]]),
        ("x,y\n-,1\nNA,-\nb,2\n", {"null_values": ("-",)}, [["nan", "1.0"], ["NA", "nan"], ["b", "2.0"]]),
        ("x,y\n-999,a\n5,\n", {"null_values": ("-999", "")}, [["nan", "a"], ["5.0", "nan"]]),
        (b"x,y\ncaf\xe9,1\n", {"encoding_errors": EncodingErrors.REPLACE}, [["caf\ufffd", "1"]]),
        (b"x,y\ncaf\xe9,1\n", {"encoding_errors": EncodingErrors.IGNORE}, [["caf", "1"]]),
        (b"x,y\ncaf\xe9,1\n", {"encoding_errors": EncodingErrors.BACKSLASHREPLACE}, [["caf\\xe9", "1"]]),
        (b"caf\xe9,y\na,1\n", {"encoding_errors": EncodingErrors.REPLACE}, [["a", "1"]]),
        ('x,y\na\\"b,1\n"c\\"d",2\n', {"escape": "\\"}, [['a"b', "1"], ['c"d', "2"]]),
        ('x,y\n"a,1\n', {"quote": ""}, [['"a', "1"]]),
    ],
)
@pytest.mark.parametrize("step", [1, None])
def test_options(
    tmp_path: Path, batches: Batches, text: Any, options: dict[str, Any], expected: list[list[str]], step: int | None
) -> None:
    assert values_of(batches(spec_of(tmp_path, {"a.csv": text}, **options), step)) == expected


def test_what_is_no_text_fails_its_mini_batch_with_the_mend(tmp_path: Path, outcomes: Any) -> None:
    found = [value for _, value in outcomes(spec_of(tmp_path, {"a.csv": b"x\nok\ncaf\xe9\n"}), 1)]
    assert isinstance(found[1], LoadError)
    assert "encoding" in str(found[1])


def test_folders_are_columns(tmp_path: Path, batches: Batches) -> None:
    """Of CSV and JSON lines as of Parquet, as partition keys too, and a column of the rows goes before."""
    files = {"y=2020/m=01/a.csv": "v\n1\n", "y=2021/m=__HIVE_DEFAULT_PARTITION__/b.csv": "v\n2\n"}
    spec = spec_of(tmp_path, files)
    parts = batches(spec)
    assert values_of(parts) == [["1", "2020", "01"], ["2", "2021", "nan"]]
    assert str(parts[0].dtypes["y"]) == "int64"
    assert [part["v"].tolist() for part in batches(spec, keys=("m",))] == [[1], [2]]
    chosen = spec_of(tmp_path, {}, columns=("m", "v"), column_types={"m": "Int8"})
    assert values_of(batches(chosen)) == [["1", "1"], ["<NA>", "2"]]
    lines = {"y=7/a.jsonl": '{"v": 1}\n', "y=8/b.jsonl": '{"v": 2}\n'}
    for name, text in lines.items():
        path = tmp_path / "lines" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert values_of(batches(Input("t", InputType.JSONL, (str(tmp_path / "lines"),)))) == [["1", "7"], ["2", "8"]]
    own = spec_of(tmp_path / "own", {"y=2020/a.csv": "y\n5\n"})
    assert values_of(batches(own)) == [["5"]]


def test_files_without_rows_are_named(tmp_path: Path, batches: Batches) -> None:
    """Empty ones are not; those that have a header, or comments, and nothing else are."""
    files = {
        "a.csv": "x\n1\n",
        "b.csv": "",
        "c.csv": "x\n",
        "d.csv.gz": gzip.compress(b"x\n"),
        "e.csv.gz": gzip.compress(b""),
    }
    spec = spec_of(tmp_path, files)
    assert values_of(batches(spec)) == [["1"]]
    planned = open_dataset(spec, None)
    assert list(planned.plan(map))
    (named,) = [text for text in planned.warnings if "no rows" in text]
    assert "2 of 5 files" in named
    assert "c.csv" in named


@pytest.mark.parametrize("kind", [InputType.CSV, InputType.JSONL, InputType.PARQUET, InputType.ARROW])
@pytest.mark.parametrize(
    ("asked", "dtype", "value"),
    [
        ("string", "str", "5"),
        ("Int64", "Int64", "5"),
        ("UInt8", "UInt8", "5"),
        ("Float64", "Float64", "5.0"),
        ("float32", "float32", "5.0"),
        ("decimal(12, 2)", "object", "5.00"),
        ("int8", "int8", "5"),
    ],
)
def test_declared_types_of_numbers(
    tmp_path: Path, batches: Batches, kind: InputType, asked: str, dtype: str, value: str
) -> None:
    """In every format; nullable ones take nulls."""
    frame = pd.DataFrame({"n": pd.array([5, None if asked[0] in "IUF" else 6], "Int64")})
    (part,) = batches(written(tmp_path, kind, frame, n=asked))
    assert str(part["n"].dtype).replace("object", "str" if dtype == "str" else "object") == dtype
    assert str(part["n"][0]) == value
    assert part["n"].isna()[1] == (asked[0] in "IUF")


@pytest.mark.parametrize("kind", [InputType.CSV, InputType.JSONL, InputType.PARQUET, InputType.ARROW])
@pytest.mark.parametrize(
    ("text", "asked", "dtype", "value"),
    [
        ("2020-01-02", "timestamp[us]", "datetime64[us]", "2020-01-02 00:00:00"),
        ("2020-01-02", "date32", "datetime64[ms]", "2020-01-02 00:00:00"),
        ("2020-01-02T03:04:05Z", "timestamp[us, UTC]", "datetime64[us, UTC]", "2020-01-02 03:04:05+00:00"),
        (
            "2020-01-02T03:04:05+02:00",
            "timestamp[ms, Europe/Berlin]",
            "datetime64[ms, Europe/Berlin]",
            "2020-01-02 02:04:05+01:00",
        ),
        ("2020-01-02", "string", "str", "2020-01-02"),
        ("1.10", "decimal(5, 2)", "object", "1.10"),
        ("007", "int64", "int64", "7"),
    ],
)
def test_declared_types_of_text(
    tmp_path: Path, batches: Batches, kind: InputType, text: str, asked: str, dtype: str, value: str
) -> None:
    """Times with zones and decimals, from text, in every format."""
    (part,) = batches(written(tmp_path, kind, pd.DataFrame({"t": [text, text]}), t=asked))
    assert str(part["t"].dtype) == dtype
    assert str(part["t"][0]) == value


def written(folder: Path, kind: InputType, frame: pd.DataFrame, **types: str) -> Input:
    """A file of this format, with types declared."""
    path = folder / f"a.{kind}"
    if kind is InputType.CSV:
        frame.to_csv(path, index=False)
    elif kind is InputType.JSONL:
        frame.to_json(path, orient="records", lines=True)
    elif kind is InputType.ARROW:
        frame.to_feather(path)
    else:
        frame.to_parquet(path)
    return Input("t", kind, (str(path),), column_types=types)


@pytest.mark.parametrize("kind", [InputType.CSV, InputType.JSONL, InputType.PARQUET, InputType.ARROW])
def test_a_declared_type_that_does_not_fit_fails_in_words(tmp_path: Path, outcomes: Any, kind: InputType) -> None:
    ((_, error),) = outcomes(written(tmp_path, kind, pd.DataFrame({"t": ["x"]}), t="int64"))
    assert isinstance(error, LoadError)
    assert "column_types" in str(error)
    assert "'t'" in str(error)


@pytest.mark.parametrize("name", ["escape", "comment", "quote", "delimiter"])
def test_options_that_are_no_character(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="one ASCII character"):
        open_dataset(spec_of(tmp_path, {}, **{name: "ab"}), None)
