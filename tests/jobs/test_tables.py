"""The example jobs over tables, as their READMEs run them: right by their own checks, the same for 1 and 3 ranks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mpibatch.placement.variables import executor_environment

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "jobs"

OUTPUT = {"iris": "species.csv", "sales": "files", "field": "features.parquet"}

Run = Callable[[str, int], Path]


def start(*command: object) -> str:
    """Runs Python in a process of its own; what it said."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env={**executor_environment(os.environ), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(job: str, ranks: int) -> Path:
        """The output, a file or a folder, of a run that is not kept beside the job."""
        runs = tmp_path / str(ranks)
        start("-m", "mpibatch", "run", JOBS / job / "job.yaml", "-n", ranks, "--output", runs)
        return runs / "latest" / "outputs" / OUTPUT[job]

    return run


def content(output: Path) -> dict[str, bytes]:
    """Every file of an output."""
    files = [output] if output.is_file() else sorted(path for path in output.iterdir())
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("job", OUTPUT)
def test_a_job_is_right_and_the_same_with_one_rank_and_three(run: Run, job: str) -> None:
    one, three = run(job, 1), run(job, 3)
    assert content(one) == content(three)
    start(JOBS / job / "check.py", three)


def test_iris_has_several_mini_batches(run: Run) -> None:
    """Otherwise three ranks would show nothing."""
    summary = json.loads((run("iris", 1).parents[1] / "summary.json").read_text())
    assert summary["mini_batches"]["total"] == 3


@pytest.mark.parametrize("job", OUTPUT)
def test_the_examples_data_is_small(job: str) -> None:
    assert sum(path.stat().st_size for path in (JOBS / job).rglob("*") if "runs" not in path.parts) < 1_000_000
