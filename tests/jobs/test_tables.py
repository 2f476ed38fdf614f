"""The example jobs over tables, as their READMEs run them: right, and the same for any number of ranks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs.running import JOBS, start

pytestmark = pytest.mark.processes

OUTPUT = {"iris": "species.csv", "sales": "", "field": "features.parquet", "embeddings": "embeddings.parquet"}

Run = Callable[[str, int], Path]


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


@pytest.mark.ci
@pytest.mark.parametrize("job", OUTPUT)
def test_a_job_is_right(run: Run, job: str) -> None:
    output = run(job, 1)
    start(JOBS / job / "check.py", output)
    summary = json.loads(
        next(folder / "summary.json" for folder in output.parents if (folder / "summary.json").exists()).read_text()
    )
    assert summary["mini_batches"]["total"] >= 3, "otherwise several ranks would show nothing"


@pytest.mark.ci
@pytest.mark.parametrize("job", OUTPUT)
def test_a_job_is_the_same_with_one_rank_and_three(run: Run, job: str) -> None:
    assert content(run(job, 1)) == content(run(job, 3))


@pytest.mark.parametrize("job", OUTPUT)
def test_the_examples_data_is_small(job: str) -> None:
    assert sum(path.stat().st_size for path in (JOBS / job).rglob("*") if "runs" not in path.parts) < 1_000_000
