"""The digits tutorial as program, notebook and pipeline file: they say the same, and run."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

JOB = Path(__file__).parents[2] / "jobs" / "digits"


def test_notebook_and_program_are_the_same() -> None:
    """The cells of the notebook are the parts between the `# %%` lines."""
    parts = re.split(r"^# %%.*\n", (JOB / "tutorial.py").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    notebook = json.loads((JOB / "tutorial.ipynb").read_text(encoding="utf-8"))
    assert len(notebook["cells"]) == len(parts)
    for cell, part in zip(notebook["cells"], parts, strict=True):
        text = part if cell["cell_type"] == "code" else re.sub(r"^# ?", "", part.strip(), flags=re.MULTILINE)
        assert "".join(cell["source"]).strip() == text.strip()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy with a tenth of the images, and a workspace of its own."""
    folder = tmp_path / "digits"
    shutil.copytree(JOB, folder, ignore=shutil.ignore_patterns("runs", "digit_?[1-9]??.png", "digit_1*.png"))
    monkeypatch.setenv("MPIBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(JOB.parents[1]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    return folder


def check(folder: Path, rows: list[str]) -> None:
    """Nearly all are right: one in a hundred scans is hard."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        labels = {row["file"]: row["label"] for row in csv.DictReader(file)}
    names = sorted(path.name for path in (folder / "data").glob("*.png"))
    assert [row.split(": ")[0] for row in rows] == names
    assert sum(labels[name] == digit for name, digit in (row.split(": ") for row in rows)) >= 0.95 * len(rows)


@pytest.mark.ci
@pytest.mark.processes
@pytest.mark.timeout(600)
def test_the_notebook_runs(folder: Path) -> None:
    """As a user runs it, cell by cell; the last one shows the single image's row."""
    notebook = nbformat.read(folder / "tutorial.ipynb", as_version=4)
    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(folder)}}).execute()
    texts = ["".join(out.get("text", "") for out in cell.get("outputs", [])) for cell in notebook.cells]
    assert re.search(r"\['digit_0000\.png: 0'\]\s*$", texts[-1])
    files = sorted((folder / "runs" / "azureml").glob("*/inferences/mnist_outputs.txt"))
    check(folder, max((file.read_text(encoding="utf-8").splitlines() for file in files), key=len))


@pytest.mark.ci
@pytest.mark.processes
@pytest.mark.timeout(600)
def test_the_pipeline_file_gives_the_same(folder: Path) -> None:
    """With a model of the workspace."""
    model = ["models", "register", "digits", "model/digits.keras"]
    for words in (model, ["run", "pipeline.yaml", "--run-dir", "run"]):
        command = [sys.executable, "-m", "mpibatch", *words]
        ran = subprocess.run(command, check=False, cwd=folder, env=os.environ, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    output = folder / "run" / "steps" / "predict-digits-mnist" / "outputs" / "mnist_outputs.txt"
    check(folder, output.read_text(encoding="utf-8").splitlines())
