"""What becomes of a run whose tables are damaged: exact or estimated counts, the ranges that are named, warnings."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from mpibatch.errors import ExitStatus
from tests.formats.conftest import JobFolder

pytestmark = pytest.mark.processes

COUNT = "def run(mini_batch):\n    return [len(mini_batch)] * len(mini_batch)\n"


def test_a_ragged_row_fails_its_split_alone_with_its_bytes_and_an_estimated_count(folder: JobFolder) -> None:
    """CSV: plan does not know how many rows a slice has, so those of the lost one are counted by a scan."""
    lines = [f"{number},{number}\n" for number in range(1000, 1100)]
    lines[50] = "1,2,3,4,5\n"
    (folder.path / "t.csv").write_text("a,b\n" + "".join(lines))
    folder.script(COUNT)
    ended = folder.run_through(1, {"t": {"type": "csv", "path": "t.csv"}}, mini_batch_size=100, error_threshold=-1)
    (failed,) = ended.failed
    assert failed["item"] == str(folder.path / "t.csv")
    first, last = failed["bytes"]
    split = (folder.path / "t.csv").read_bytes()[first:last]
    assert b"1,2,3,4,5\n" in split
    assert failed["count"] == split.count(b"\n")
    assert failed["cause"] == "load_error"
    assert failed["tries"] == 3
    assert "Expected 2 columns" in failed["error"]
    items = ended.summary["items"]
    assert items == {
        "total": 100,
        "succeeded": 100 - failed["count"],
        "failed": failed["count"],
        "estimated": failed["count"],
    }
    assert f"({failed['count']} of them estimated)" in ended.said


@pytest.mark.ci
def test_a_damaged_parquet_file_and_one_cut_short_fail_with_their_rows(folder: JobFolder) -> None:
    """Parquet tells its counts in a footer: rows of damaged pages are counted exactly, a missing footer is not."""
    (folder.path / "t").mkdir()
    frame = pd.DataFrame({"x": np.random.default_rng(1).random(1000)})
    for name in ("a", "b", "c"):
        frame.to_parquet(folder.path / "t" / f"{name}.parquet", row_group_size=250, compression="gzip")
    whole = (folder.path / "t" / "b.parquet").read_bytes()
    (folder.path / "t" / "b.parquet").write_bytes(b"PAR1" + b"\xff" * 3000 + whole[3004:])
    (folder.path / "t" / "c.parquet").write_bytes(whole[:-100])
    folder.script(COUNT)
    ended = folder.run_through(1, {"t": {"type": "parquet", "path": "t"}}, error_threshold=-1, run_max_try=1)
    damaged, short = ended.failed[0], ended.failed[-1]
    assert (Path(damaged["item"]).name, damaged["rows"], damaged["count"]) == ("b.parquet", [0, 250], 250)
    assert Path(short["item"]).name == "c.parquet"
    assert "rows" not in short
    assert ended.summary["items"]["estimated"] == 1  # all that is known of c.parquet is that it is there
    assert ended.summary["items"]["succeeded"] + sum(entry["count"] for entry in ended.failed[:-1]) == 2000


def test_a_dataset_missing_from_one_hdf5_file_fails_that_file(folder: JobFolder) -> None:
    (folder.path / "t").mkdir()
    for name, dataset in (("a", "x"), ("b", "y"), ("c", "x")):
        with h5py.File(folder.path / "t" / f"{name}.h5", "w") as file:
            file[dataset] = np.arange(10)
    folder.script("def run(mini_batch):\n    return mini_batch['x']\n")
    ended = folder.run_through(1, {"t": {"type": "hdf5", "path": "t"}}, error_threshold=-1, run_max_try=1)
    (failed,) = ended.failed
    assert Path(failed["item"]).name == "b.h5"
    assert "there is no dataset 'x'; there are y" in failed["error"]
    assert ended.output.split() == [b"%d" % number for number in [*range(10), *range(10)]]


@pytest.mark.ci
def test_a_cut_inside_quotes_stops_the_job_with_the_advice(folder: JobFolder) -> None:
    """A newline in quotes where `quoted_newlines: false` was said: later slices may all be wrong."""
    rows = "".join(f'{number},"some text of two\nlines"\n' for number in range(200))
    (folder.path / "t.csv").write_text("a,b\n" + rows)
    folder.script(COUNT)
    table = {"type": "csv", "path": "t.csv", "quoted_newlines": "false"}
    ended = folder.run(1, {"t": table}, mini_batch_size=101, error_threshold=-1)
    assert ended.status == ExitStatus.ABORTED, ended.said
    assert ended.summary["status"] == "aborted"
    assert "quoted_newlines: true" in ended.summary["reason"]
    assert "quoted_newlines: true" in ended.said
    mended = folder.run_through(1, {"t": {**table, "quoted_newlines": "true"}}, mini_batch_size=101)
    assert mended.summary["items"]["succeeded"] == 200


@pytest.mark.ci
def test_tables_without_rows_complete_with_an_empty_output(folder: JobFolder) -> None:
    """No mini-batch at all: nothing to grant, nothing to wait for."""
    (folder.path / "t.csv").write_text("a,b\n")
    (folder.path / "t.jsonl").write_text("")
    pd.DataFrame({"a": []}).to_parquet(folder.path / "t.parquet")
    folder.script(COUNT)
    for kind, suffix in (("csv", ".csv"), ("jsonl", ".jsonl"), ("parquet", ".parquet"), ("csv", ".txt")):
        ended = folder.run_through(1, {"t": {"type": kind, "path": f"t.{kind}"}}, append_row_file_name=f"out{suffix}")
        assert ended.summary["items"] == {"total": 0, "succeeded": 0, "failed": 0, "estimated": 0}
        output = ended.directory / ended.summary["output"]
        assert not (len(pd.read_parquet(output)) if suffix == ".parquet" else output.stat().st_size)


def test_warnings_of_the_plan_are_on_the_console(folder: JobFolder) -> None:
    pd.DataFrame({"a": range(10)}).to_csv(folder.path / "t.csv.gz", index=False)
    folder.script(COUNT)
    ended = folder.run_through(1, {"t": {"type": "csv", "path": "t.csv.gz"}})
    assert "warning: input 't': 1 of 1 files cannot be split" in ended.said
    assert ended.output == b"10\n" * 10


@pytest.mark.parametrize("fault", [pytest.param("raise ValueError('poison')", marks=pytest.mark.ci), "os._exit(1)"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_isolated_rows_are_named_where_they_were_loaded(folder: JobFolder, kind: str, fault: str) -> None:
    """Rank 0 reads no input in its loop: here it could not, since the last part takes the file away."""
    rows = b"a\ngood\nbad\n" if kind == "csv" else b'{"a": "good"}\n{"a": "bad"}\n'
    (folder.path / f"t.{kind}").write_bytes(rows)
    folder.script(f"""
import os
def run(mini_batch):
    if "bad" in list(mini_batch["a"]):
        if len(mini_batch) == 1:
            os.remove("t.{kind}")
        {fault}
    return list(mini_batch["a"])
""")
    inputs = {"t": {"type": kind, "path": f"t.{kind}"}}
    ended = folder.run_through(1, inputs, isolate_failures=True, run_max_try=1, error_threshold=-1)
    (failed,) = ended.failed
    assert rows[slice(*failed["bytes"])] == rows.splitlines(keepends=True)[-1]
    assert ended.output == b"good\n"
