"""What a job can be about besides one input: several, none, groups by key; and side inputs copied to the node."""

import csv
import io
import json
import os

import pandas as pd
import pytest

from mpibatch.errors import ExitStatus
from tests.formats.conftest import JobFolder

pytestmark = pytest.mark.processes

TELL = """\
import json
from dataclasses import asdict


def run(mini_batch, context):
    told = {**asdict(context), "rows": len(mini_batch)}
    return [json.dumps(told)] * max(1, len(mini_batch))
"""


@pytest.mark.ci
def test_several_inputs_follow_each_other_and_context_names_them(folder: JobFolder) -> None:
    """minibatch_index goes on over all inputs, item_offset begins anew with each."""
    for name, rows in (("first", 5), ("second", 3)):
        pd.DataFrame({"x": range(rows)}).to_parquet(folder.path / f"{name}.parquet")
    folder.script(TELL)
    inputs = {name: {"type": "parquet", "path": f"{name}.parquet"} for name in ("first", "second")}
    ended = folder.run_through(1, inputs, mini_batch_size="2 rows")
    found = [json.loads(line) for line in dict.fromkeys(ended.output.splitlines())]
    assert [(entry["dataset"], entry["minibatch_index"], entry["item_offset"], entry["rows"]) for entry in found] == [
        ("first", 0, 0, 2), ("first", 1, 2, 2), ("first", 2, 4, 1), ("second", 3, 0, 2), ("second", 4, 2, 1),
    ]  # fmt: skip


def test_groups_by_key_columns_come_in_order_with_their_key_in_the_context(folder: JobFolder) -> None:
    """A mini-batch per combination that exists, also where its rows lie in several slices of the file."""
    frame = pd.DataFrame({"shop": ["b", "a"] * 50, "year": [2020, 2020, 2021, 2021] * 25, "x": range(100)})
    frame.to_csv(folder.path / "t.csv", index=False)
    folder.script(TELL)
    table = {"type": "csv", "path": "t.csv"}
    one, two = (folder.run_through(ranks, {"t": table}, partition_keys=["shop", "year"]) for ranks in (1, 2))
    assert one.output == two.output
    found = [json.loads(line) for line in dict.fromkeys(one.output.splitlines())]
    assert [(entry["partition_key_value"], entry["rows"]) for entry in found] == [
        ({"shop": shop, "year": year}, 25) for shop in ("a", "b") for year in (2020, 2021)
    ]


def test_files_are_grouped_by_a_pattern(folder: JobFolder) -> None:
    """A key may be part of a file's name, and the pattern may name more keys than are used."""
    for name in ("u1/rock/a-1.wav", "u1/pop/b-1.wav", "u2/rock/a-2.wav", "u2/rock/c-1.wav"):
        path = folder.path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder.script(TELL)
    files = {"type": "files", "path": "data/{user}/{genre}/*-{take}.wav"}
    ended = folder.run_through(1, {"f": files}, partition_keys=["user", "take"])
    found = [json.loads(line) for line in dict.fromkeys(ended.output.splitlines())]
    assert [(tuple(entry["partition_key_value"].values()), entry["rows"]) for entry in found] == [
        (("u1", "1"), 2), (("u2", "1"), 1), (("u2", "2"), 1),
    ]  # fmt: skip


def test_a_failed_group_is_named_by_its_key(folder: JobFolder) -> None:
    pd.DataFrame({"shop": ["a", "b", "b"], "x": range(3)}).to_csv(folder.path / "t.csv", index=False)
    folder.script("def run(mini_batch):\n    assert len(mini_batch) == 1\n    return mini_batch['x']\n")
    table = {"type": "csv", "path": "t.csv"}
    ended = folder.run_through(1, {"t": table}, partition_keys=["shop"], error_threshold=2, run_max_try=1)
    (failed,) = ended.failed
    assert (failed["key"], failed["count"]) == ({"shop": "b"}, 2)


@pytest.mark.ci
def test_mini_batches_without_input(folder: JobFolder) -> None:
    """`mini_batch_count`: any number of rows is right, none too; a failed one is one failed item."""
    folder.script(
        "def run(mini_batch, context):\n"
        "    assert mini_batch == [] and context.dataset == ''\n"
        "    number = context.minibatch_index\n"
        "    if number == 3:\n"
        "        raise ValueError('three')\n"
        "    return [f'{number} {row}' for row in range(number)]\n"
    )
    one, two = (
        folder.run_through(ranks, {}, mini_batch_count=6, error_threshold=1, append_row_file_name="o.csv")
        for ranks in (1, 2)
    )
    assert one.output == two.output == b"".join(b"%d %d\n" % (n, r) for n in (1, 2, 4, 5) for r in range(n))
    assert one.summary["mini_batches"] == {"total": 6, "succeeded": 5, "failed": 1, "remaining": 0}
    assert one.summary["items"] == {"total": 6, "succeeded": 5, "failed": 1, "estimated": 0}
    (failed,) = one.failed
    assert failed["item"] == "mini-batch 3"
    assert failed["error"] == "ValueError: three"
    assert "more rows than items" not in one.said


@pytest.mark.ci
@pytest.mark.parametrize("whole", [True, pytest.param(False, marks=pytest.mark.ci)], ids=["folder", "file"])
def test_a_staged_side_input_is_copied_once_and_removed(folder: JobFolder, whole: bool) -> None:
    """All ranks of the node see one copy, at a path that the script gets as its argument; afterwards it is gone."""
    (folder.path / "model").mkdir()
    (folder.path / "model" / "weights.txt").write_text("42")
    folder.script(
        "import os, sys\n"
        "path = sys.argv[2]\n"
        "if os.path.isdir(path):\n"
        "    path += '/weights.txt'\n"
        "def run(mini_batch):\n"
        "    assert open(path).read() == '42'\n"
        "    return [f'{sys.argv[1]},{path},{os.stat(path).st_ino}'] * len(mini_batch)\n"
    )
    pd.DataFrame({"x": range(60)}).to_csv(folder.path / "t.csv", index=False)
    more = {
        "side_inputs": {"model": {"path": "model" if whole else "model/weights.txt", "stage": "node"}},
        "arguments": ["--model=${{ side_inputs.model }}", "${{ side_inputs.model }}"],
    }
    temporary = folder.path / "local"
    temporary.mkdir()
    variables = {"TMPDIR": str(temporary)}
    table = {"t": {"type": "csv", "path": "t.csv"}}
    ended = folder.run_through(2, table, more=more, mini_batch_size=10, environment_variables=variables)
    seen = {tuple(row) for row in csv.reader(io.StringIO(ended.output.decode()))}
    ((argument, path, _),) = seen
    assert path.startswith(f"{temporary}/mpibatch-{os.getuid()}-")
    assert argument == f"--model={path.removesuffix('/weights.txt') if whole else path}"
    assert not list(temporary.iterdir())


def test_a_side_input_that_cannot_be_copied_ends_the_job_with_the_reason(folder: JobFolder) -> None:
    (folder.path / "model").write_text("42")
    (folder.path / "t.csv").write_text("x\n1\n")
    folder.script("def run(mini_batch):\n    return mini_batch\n")
    temporary = folder.path / "local"
    temporary.mkdir()
    more = {"side_inputs": {"model": {"path": "model", "stage": "node"}}}
    table = {"t": {"type": "csv", "path": "t.csv"}}
    if os.getuid() == 0:  # no permission is denied to root: the source is a folder that holds a link to nowhere
        (folder.path / "model").unlink()
        (folder.path / "model").mkdir()
        (folder.path / "model" / "link").symlink_to("/nowhere")
    else:
        (folder.path / "model").chmod(0)
    ended = folder.run(1, table, more=more, environment_variables={"TMPDIR": str(temporary)})
    assert ended.status in (ExitStatus.ABORTED, ExitStatus.USAGE), ended.said
    assert "model" in ended.said
    assert not list(temporary.iterdir())
