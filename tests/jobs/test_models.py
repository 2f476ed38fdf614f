"""The jobs whose models come in packages that are too large for every test run: .ci/run installs them.

magika, rapidocr-onnxruntime, torch, transformers.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.jobs.running import JOBS, start

pytestmark = [pytest.mark.processes, pytest.mark.ci]


def run(folder: Path, job: str, *options: str) -> Path:
    """The run directory of a complete run with two ranks."""
    start("-m", "mpibatch", "run", JOBS / job / "job.yaml", "-n", 2, "--output", folder, *options)
    return folder / "latest"


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


@pytest.mark.parametrize(
    ("job", "output"),
    [
        pytest.param("filetypes", "filetypes.csv", marks=needs("magika")),
        pytest.param("ocr", "texts.jsonl", marks=needs("rapidocr_onnxruntime")),
    ],
)
def test_a_job_is_as_a_plain_loop(tmp_path: Path, job: str, output: str) -> None:
    start(JOBS / job / "check.py", run(tmp_path, job) / "outputs" / output)


@needs("transformers")
@needs("torch")
@pytest.mark.parametrize("engine", ["torch", "transformers"])
def test_prompts(tmp_path: Path, engine: str) -> None:
    """As a plain loop, in the order of the prompts; the one that is too long is the only one without a completion."""
    directory = run(tmp_path, "prompts", "--set", f"engine={engine}")
    start(JOBS / "prompts" / "check.py", directory / "outputs" / "completions.jsonl", "--engine", engine)
    (failed,) = [json.loads(line) for line in (directory / "failed_items.jsonl").read_text().splitlines()]
    assert failed["cause"] == "user_error"
    assert "do not fit into a context of 64" in failed["error"]


@pytest.mark.parametrize("job", ["filetypes", "ocr", "prompts"])
def test_the_examples_data_is_small(job: str) -> None:
    files = (path for path in (JOBS / job).rglob("*") if "runs" not in path.parts)
    assert sum(path.stat().st_size for path in files) < 1_000_000
