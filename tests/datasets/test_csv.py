"""CSV: slices put together are the file read whole; what is wrong fails alone and says where."""

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mpibatch.config.choices import InputType, QuotedNewlines
from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_dataset, row_boundaries, text_slices, text_table
from mpibatch.datasets.base import CutInsideQuotes, LoadError
from mpibatch.datasets.quoting import Delimiters
from mpibatch.errors import InputError

Batches = Callable[..., list[Any]]


def spec_of(*paths: Path, **options: Any) -> Input:
    return Input("table", InputType.CSV, tuple(str(path) for path in paths), **options)


def file_of(folder: Path, data: bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


cells = st.text(st.sampled_from('ab,"\n\r \u00e9\u20ac\U0001f600'), max_size=5)
rows = st.lists(st.tuples(st.integers(-5, 10**6), st.floats(allow_nan=False), cells), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=rows,
    step=st.integers(1, 80),
    end=st.sampled_from(["\n", "\r\n"]),
    final=st.booleans(),
    blank=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    segment=st.sampled_from([128, 200, 1 << 25]),
)
def test_splits_are_the_whole(
    *,
    tmp_path: Path,
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[int, float, str]],
    step: int,
    end: str,
    final: bool,
    blank: bool,
    encoding: str,
    segment: int,
) -> None:
    """Any mini-batch size, quoted newlines, both line ends, no final one, marks, wide characters."""
    monkeypatch.setattr(text_slices, "SEGMENT", segment)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["number", "real\nnumber", "text"])
    for row in rows:
        writer.writerow(row)
        if blank:
            text.write(end)
    data = text.getvalue()
    path = file_of(tmp_path, (data if final else data.removesuffix(end)).encode(encoding))
    spec = spec_of(path, encoding=encoding, quoted_newlines=QuotedNewlines.TRUE)
    parts: list[pd.DataFrame] = batches(spec, step)
    expected = pd.DataFrame(rows, columns=["number", "real\nnumber", "text"])
    together = pd.concat(parts, ignore_index=True)
    assert_frame_equal(together, expected, check_dtype=False)
    assert together.dtypes.tolist()[:2] == expected.dtypes.tolist()[:2]
    assert all(part.dtypes.equals(together.dtypes) for part in parts)
    assert all(len(part) for part in parts) or segment <= 200
    (whole,) = batches(spec, 1 << 20)
    assert_frame_equal(together, whole)


@pytest.mark.parametrize("newlines", [QuotedNewlines.FALSE, QuotedNewlines.AUTO])
def test_one_row_mini_batches(tmp_path: Path, batches: Batches, newlines: QuotedNewlines) -> None:
    """Cut by looking around the boundaries, and cut by scanning."""
    path = file_of(tmp_path, b"a,b\n" + b"".join(b"%d,x%d\r\n" % (at, at) for at in range(1000)))
    parts = batches(spec_of(path, quoted_newlines=newlines), 1)
    assert [part["a"].tolist() for part in parts] == [[at] for at in range(1000)]
    parts = batches(spec_of(path, quoted_newlines=newlines), 1000)
    assert sum(map(len, parts)) == 1000
    assert parts[0].memory_usage().sum() >= 1000


def test_segments_agree_with_one_scan(tmp_path: Path) -> None:
    """Scanning in segments, each for both cases, finds only true row ends and the last byte."""
    delimiters = Delimiters()
    data = b'a,"x\n""\ny"\n\nb,"\n\n\n\n\n"\n"","""\n"\nq,r\n' * 3
    true_ends = set(row_boundaries.row_ends(data, delimiters))
    for segment in range(1, len(data) + 1):
        for step in (1, 7, 30):
            file = io.BytesIO(data)
            scans = [
                row_boundaries.scan_segment(file, at, min(at + segment, len(data)), step, delimiters, begins=at == 0)
                for at in range(0, len(data), segment)
            ]

            def again(number: int, file: io.BytesIO = file, step: int = step, segment: int = segment) -> Any:
                at = number * segment
                last = min(at + segment, len(data))
                return row_boundaries.scan_segment(file, at, last, step, delimiters, begins=False, inside=True)

            ends = [end for end, _ in row_boundaries.join_segments(scans, 0, len(data), again)]
            assert ends[-1] == len(data)
            assert ends == sorted(set(ends))
            # Empty lines after a row may fall to the next segment.
            assert all(end in true_ends or data[end : end + 1] == b"\n" for end in ends)


def test_whole_rows() -> None:
    """A sample ends with a row, wherever it was cut off; wide characters too."""
    data = b'a,"x\n""\ny"\nb,"\n"\n"q\n'
    for delimiters, text in (
        (Delimiters(), data),
        (Delimiters(b"\n\0", b"\n\0", b"\r\0", b'"\0', b",\0"), data.decode().encode("utf-16-le")),
    ):
        ends = row_boundaries.row_ends(text, delimiters)[:-1]
        for length in range(len(text)):
            kept = len(row_boundaries.whole_rows(text[:length], delimiters))
            assert kept == max((end for end in ends if end <= length), default=length)


def test_a_cut_inside_quotes_is_noticed(tmp_path: Path, outcomes: Any) -> None:
    """With quoted_newlines false a cut inside a quoted field is an error that stops the run, for any size."""
    path = file_of(tmp_path, b'a,b\n1,"x\ny\nz"\n2,w\n' * 3)
    data = path.read_bytes()
    for step in range(1, len(data)):
        results = outcomes(spec_of(path, quoted_newlines=QuotedNewlines.FALSE), step)
        cut_right = all(not isinstance(value, CutInsideQuotes) for _, value in results)
        ends = [int.from_bytes(piece.payload[8:16], "little") for piece, _ in results]
        assert cut_right == all(data[:end].count(b'"') % 2 == 0 for end in ends)
        for _, value in results:
            assert not isinstance(value, CutInsideQuotes) or "quoted_newlines: true" in str(value)


def test_types_are_the_same_for_all(tmp_path: Path, batches: Batches) -> None:
    """Slices that happen to hold only integers, only nulls, or no null at all have the types of the whole."""
    path = file_of(
        tmp_path,
        b"i,gap,f,mix,flag,gapflag,day,none\n1,1,1,1,true,true,2020-01-02,\n2,,2.5,x,false,,2020-01-03,\n",
    )
    parts = batches(spec_of(path), 1)
    assert len(parts) == 2
    kinds = [[str(dtype) for dtype in part.dtypes] for part in parts]
    assert kinds[0] == kinds[1]
    assert kinds[0][:3] == ["int64", "float64", "float64"]
    assert kinds[0][4:6] == ["bool", "object"]
    assert kinds[0][6].startswith("datetime64")
    assert parts[0]["mix"].tolist() == ["1"]
    assert parts[0]["none"].tolist() == [""]


def test_types_of_a_sample_do_not_give_way(tmp_path: Path, outcomes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no sample showed fails in its mini-batch only, and says how to declare the column."""
    monkeypatch.setattr(text_table, "SAMPLE_ALL", 100)
    monkeypatch.setattr(text_table, "SAMPLES", 2)
    rows = [b"%d,%d\n" % (at, at) for at in range(100)]
    rows[51], rows[53] = b"x,51\n", b",53\n"
    path = file_of(tmp_path, b"a,b\n" + b"".join(rows))
    results = outcomes(spec_of(path), 1)
    failed = {at: str(value) for at, (_, value) in enumerate(results) if isinstance(value, LoadError)}
    assert sorted(failed) == [51, 53]
    assert "column 'a'" in failed[51]
    assert "column_types" in failed[51]
    assert f"{path}, bytes" in failed[53]
    assert "float64 or Int64" in failed[53]
    declared = spec_of(path, column_types={"a": "string", "b": "Int64"})
    frame = pd.concat([value for _, value in outcomes(declared, 1)])
    assert frame["a"].tolist()[51] == "x"
    assert str(frame["b"].dtype) == "Int64"


def test_options(tmp_path: Path, batches: Batches) -> None:
    """Delimiter, quote, encoding, columns, no header, repeated names."""
    path = file_of(tmp_path, "a;b;c\n'x;y';\u00e9;1\n".encode("latin-1"))
    (frame,) = batches(spec_of(path, delimiter=";", quote="'", encoding="latin-1", columns=("c", "a")))
    assert frame.to_dict("list") == {"c": [1], "a": ["x;y"]}
    (frame,) = batches(spec_of(path, delimiter=";", quote="'", encoding="latin-1", has_header=False))
    assert frame.to_dict("list") == {
        "Column1": ["a", "x;y"],
        "Column2": ["b", "\u00e9"],
        "Column3": ["c", "1"],
    }
    path = file_of(tmp_path, b'a,a,b\n1,2,5" pipe\n')
    (frame,) = batches(spec_of(path, quote=""))
    assert frame.to_dict("list") == {"a": [1], "a.1": [2], "b": ['5" pipe']}


def test_several_files(tmp_path: Path, batches: Batches, outcomes: Any) -> None:
    """The header once per file, other orders of columns put right, never a slice across files."""
    file_of(tmp_path, b"a,b\n1,x\n2,y\n", "1.csv")
    file_of(tmp_path, b"b,a\nz,3\n", "2.csv")
    file_of(tmp_path, b"a,b\n", "3.csv")
    file_of(tmp_path, b"", "4.csv")
    file_of(tmp_path, b"junk", "_SUCCESS")
    parts = batches(spec_of(tmp_path))
    assert [part.to_dict("list") for part in parts] == [
        {"a": [1, 2], "b": ["x", "y"]},
        {"a": [3], "b": ["z"]},
    ]
    file_of(tmp_path, b"a,c\n9,9\n", "5.csv")
    results = outcomes(spec_of(tmp_path))
    assert [isinstance(value, LoadError) for _, value in results] == [False, False, True]
    assert "missing ['b'], more ['c']" in str(results[2][1])
    assert [len(part) for part in batches(spec_of(tmp_path, columns=("a",)))] == [2, 1, 1]


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (b"a,b\n1,2\n3\n", {}, "Expected 2 columns, got 1"),
        (b"a,b\n1,2\n3,4,5\n", {}, "Expected 2 columns, got 3"),
        (b"a,b\n1,\xff\n", {}, "set encoding"),
        (b"a,b\n1,x\0y\n", {}, "NUL"),
        (b'a,b\n1,2\n3,"x\n4,5\n', {}, "quoted field"),
        (b'a,b\n1,2\n3,"x\n4,5\n', {"quoted_newlines": QuotedNewlines.TRUE}, "never ends"),
        ("a,b\n1,2\n".encode("utf-16"), {}, "set encoding: utf-16"),
        (b"\xff\xfea\0,\0b\0\n\0\x00\xd8\n\0", {"encoding": "utf-16"}, "utf-16-le"),
    ],
)
def test_bad_files_fail_alone(tmp_path: Path, outcomes: Any, data: bytes, options: dict[str, Any], reason: str) -> None:
    """The mini-batch of the fault fails with file, bytes and reason; the good file is read."""
    encoding = options.get("encoding", "utf-8")
    file_of(tmp_path, "a,b\n7,8\n".encode(encoding), "good.csv")
    path = file_of(tmp_path, data, "zbad.csv")
    results = outcomes(spec_of(tmp_path, **options), 5)
    errors = [value for _, value in results if isinstance(value, LoadError)]
    assert len(errors) == 1
    assert str(errors[0]).startswith(f"{path}, bytes ")
    assert reason in str(errors[0])
    assert sum(len(value) for _, value in results if not isinstance(value, LoadError)) >= 1


def test_missing_file(tmp_path: Path, outcomes: Any) -> None:
    """A file of a manifest that is not there costs its own mini-batch."""
    file_of(tmp_path, b"a\n1\n", "good.csv")
    manifest = file_of(tmp_path, b"gone.csv\ngood.csv\n", "list.txt")
    results = outcomes(Input("t", InputType.CSV, manifest=str(manifest)))
    assert "No such file" in str(results[0][1])
    assert results[1][1]["a"].tolist() == [1]


def test_truncated_after_plan(tmp_path: Path) -> None:
    path = file_of(tmp_path, b"a\n" + b"1\n" * 100)
    data = open_dataset(spec_of(path), Size(50, Unit.BYTES))
    splits = list(data.plan(map))
    file_of(tmp_path, b"a\n" + b"1\n" * 40)
    with pytest.raises(LoadError, match="changed since the plan"):
        data.load(splits[-1].payload)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed(tmp_path: Path, batches: Batches, suffix: str) -> None:
    """One mini-batch a file, with a warning."""
    data = b'a,b\n1,"x\ny"\n2,z\n'
    packed = gzip.compress(data) if suffix == ".gz" else pa.compress(data, "zstd", asbytes=True)
    path = file_of(tmp_path, packed, f"data.csv{suffix}")
    (frame,) = batches(spec_of(path), 1)
    assert frame.to_dict("list") == {"a": [1, 2], "b": ["x\ny", "z"]}
    data_set = open_dataset(spec_of(path), None)
    list(data_set.plan(map))
    (warning,) = data_set.warnings
    assert "1 of 1 files cannot be split" in warning
    file_of(tmp_path, packed[:-3], f"data.csv{suffix}")
    with pytest.raises(LoadError, match="bytes 0 to"):
        batches(spec_of(path), 1)


def test_failed_rows_are_named_by_their_bytes(tmp_path: Path) -> None:
    """A poison row is found again in the file; rows of a slice that failed are counted by a scan."""
    content = b'a,b\n1,x\n2,"y\ny"\n3,z\n'
    path = file_of(tmp_path, content)
    data = open_dataset(spec_of(path), None)
    (piece,) = data.plan(map)
    (item,) = data.locate_items(piece.payload, [1], 3)
    assert item.item == str(path)
    assert item.bytes is not None
    assert content[slice(*item.bytes)] == b'2,"y\ny"\n'
    (item,) = data.failed_items(piece.payload, [1], 3)  # reads nothing
    assert (item.bytes, item.count) == ((4, len(content)), 1)
    (item,) = data.locate_items(piece.payload, [1], 7)  # the file has other rows now
    assert (item.bytes, item.count) == ((4, len(content)), 1)
    (item,) = data.failed_items(piece.payload, None, 3)
    assert (item.bytes, item.count) == ((4, len(content)), 3)
    assert data.count_items(piece.payload) == 3
    assert data.load(piece.payload).slice(1, 3).value["a"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ",,"}, "delimiter"),
        ({"quote": "\u201c"}, "quote"),
        ({"encoding": "utf-99"}, "utf-99"),
        ({"columns": ("nope",)}, "nope"),
        ({"column_types": {"a": "flot64"}}, "float64"),
        ({"column_types": {"a": "category"}}, "category"),
        ({"column_types": {"nope": "int64"}}, "nope"),
    ],
)
def test_bad_options(tmp_path: Path, batches: Batches, options: dict[str, Any], message: str) -> None:
    path = file_of(tmp_path, b"a\n1\n")
    with pytest.raises(InputError, match=message):
        batches(spec_of(path, **options))
    with pytest.raises(InputError, match="bytes"):
        open_dataset(spec_of(path), Size(5, Unit.ITEMS))
