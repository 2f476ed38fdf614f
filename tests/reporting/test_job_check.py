"""What validate prints."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from mpibatch.config.load import job_from_data
from mpibatch.placement.assign import Placement
from mpibatch.placement.layout import RankLayout
from mpibatch.planning.check import check
from mpibatch.reporting.job_check import render


def text(folder: Path, placements: list[Placement] | str, ranks: RankLayout) -> str:
    (folder / "score.py").write_text("def run(mini_batch):\n    return mini_batch\n")
    for number in range(5):
        (folder / f"{number}\n.txt").write_text("")
    config = {"entry_script": "score.py", "mini_batch_size": 4, "run_max_try": 1, "allowed_failed_percent": 5}
    inputs = {name: {"type": "files", "path": "*.txt"} for name in ("first", "second")}
    data = {"name": "shaped", "inputs": inputs, "parallel_run_config": config, "parameters": {"size": 3}}
    return render(check(job_from_data(data, folder), "job.yaml"), "job.yaml", ranks, placements)


def test_the_plan_the_settings_and_the_ranks(tmp_path: Path) -> None:
    placements = [Placement(("1",), "CUDA_VISIBLE_DEVICES", (rank,), 1) for rank in range(9)]
    said = text(tmp_path, placements, RankLayout(2, 9))
    for line in (
        "job.yaml: valid\n",
        "input first     5 items in 2 mini-batches of 1 to 4\n",
        f"mini-batch 2 begins with {str(tmp_path / '0')!r}"[:-1] + "\\n.txt'\n",
        "and 1 more\n",
        "in all          4 mini-batches\n",
        "parameters      size = 3\n",
        "1 try of a mini-batch\n",
        "0 failed items, 5% of the mini-batches\n",
        "18 by default: node_count 2 x process_count_per_node 9\n",
        "only 4 of them would have work",
        "local rank 0: CPUs 0, GPU 1\n",
        "and 1 more on the same node",
    ):
        assert line in said
    assert all(line.isprintable() for line in said.splitlines())


def test_no_place_for_the_ranks(tmp_path: Path) -> None:
    assert "a machine like this one has no place for them: no GPU" in text(tmp_path, "no GPU", RankLayout(1, 1))


FRAME = pd.DataFrame({"n": pd.array([2**53 + 1, None], "Int64"), "t\n": ["x" * 100, "y"]})


def preview_of(folder: Path, kind: str, **options: Any) -> str:
    """What validate says of an input."""
    (folder / "score.py").write_text("def run(mini_batch):\n    return mini_batch\n")
    config = {"entry_script": "score.py"}
    inputs = {"t": {"type": kind, "path": f"data.{kind}", **options}}
    job = job_from_data({"name": "shaped", "inputs": inputs, "parallel_run_config": config}, folder)
    return render(check(job, "job.yaml"), "job.yaml", RankLayout(1, 1), [])


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow", "orc", "jsonl"])
def test_columns_types_and_the_first_row(tmp_path: Path, kind: str) -> None:
    """As the script will get them; odd names on one line."""
    path = tmp_path / f"data.{kind}"
    {
        "csv": lambda: FRAME.to_csv(path, index=False),
        "parquet": lambda: FRAME.to_parquet(path),
        "arrow": lambda: FRAME.to_feather(path),
        "orc": lambda: FRAME.to_orc(path),
        "jsonl": lambda: FRAME.to_json(path, orient="records", lines=True),
    }[kind]()
    said = preview_of(tmp_path, kind)
    assert "run() gets a DataFrame of 2 rows; columns, types and the first row:" in said
    assert any(line.split() == ["n", "Int64", str(2**53 + 1)] for line in said.splitlines())
    assert f"t\\n  str    '{'x' * 56}..." in said
    assert all(line.isprintable() for line in said.splitlines())


def test_other_mini_batches(tmp_path: Path) -> None:
    """Lines, arrays, and one that cannot be loaded."""
    (tmp_path / "data.lines").write_text("one\ntwo\n")
    assert "run() gets a list of 2 str, the first of them 'one'" in preview_of(tmp_path, "lines")
    with h5py.File(tmp_path / "data.hdf5", "w") as file:
        file["x"] = np.arange(6).reshape(3, 2)
    said = preview_of(tmp_path, "hdf5")
    assert "run() gets a dict of arrays of 3 rows" in said
    assert any(line.split() == ["x", "int64", "[3,", "2]", "array([0,", "1])"] for line in said.splitlines())
    (tmp_path / "data.csv").write_text("a,b\n1\n")
    assert "its first mini-batch cannot be loaded" in preview_of(tmp_path, "csv")


def test_nothing_to_do_is_said(tmp_path: Path) -> None:
    """A file that is not empty but yields no items is named."""
    (tmp_path / "data.csv").write_text("a,b\n")
    said = preview_of(tmp_path, "csv")
    assert "warning: there is nothing to do: the input has no item" in said
    assert "1 of 1 files yield no rows though they are not empty" in said
