"""`mpibatch models|datastores|datasets` as a user sees them, and a run that uses a model by name."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Mpibatch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mpibatch(tmp_path: Path) -> Mpibatch:
    environment = {**os.environ, "MPIBATCH_HOME": str(tmp_path / "home")}

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "mpibatch", *words]
        return subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return call


def test_models(mpibatch: Mpibatch, tmp_path: Path) -> None:
    """Registered, listed, shown; unknown ones are named with those there are."""
    (tmp_path / "m.bin").write_text("x")
    assert mpibatch("models", "register", "digits", "m.bin", "--tag", "kind=cnn").stdout == "digits:1\n"
    assert mpibatch("models", "register", "digits", "m.bin").stdout == "digits:2\n"
    listed = mpibatch("models", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["digits:1", "digits:2"]
    assert "kind=cnn" in listed[0]
    shown = json.loads(mpibatch("models", "show", "digits:1").stdout)
    assert (shown["tags"], Path(shown["path"]).read_text()) == ({"kind": "cnn"}, "x")
    wrong = mpibatch("models", "show", "digit")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "there is no model 'digit': there are digits" in wrong.stderr


@pytest.mark.ci
def test_datastores_and_datasets(mpibatch: Mpibatch, tmp_path: Path) -> None:
    """Names for places and inputs."""
    assert mpibatch("datastores", "register", "here", ".").returncode == 0
    assert mpibatch("datastores", "show", "here").stdout.strip() == str(tmp_path)
    assert mpibatch("datastores", "default", "here").returncode == 0
    assert f"here  {tmp_path}  (default)" in mpibatch("datastores", "list").stdout
    assert mpibatch("datasets", "register", "rows", "a.csv", "b.csv", "--type", "csv").stdout == "rows:1\n"
    shown = json.loads(mpibatch("datasets", "show", "rows").stdout)
    assert shown["data"] == {"type": "csv", "path": [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]}
    assert "rows:1" in mpibatch("datasets", "list").stdout
    wrong = mpibatch("datasets", "register", "other", "a.csv", "--type", "cvs")
    assert (wrong.returncode, "'cvs' is none of files, " in wrong.stderr) == (2, True)


SCRIPT = """
import os, sys
def run(mini_batch):
    folder = os.environ["AZUREML_MODEL_DIR"]
    return [open(sys.argv[1]).read() + " " + " ".join(os.listdir(folder)) + " " + os.environ["MPIBATCH_HOME"]]
"""
JOB = """
name: uses-model
inputs: {texts: {dataset: "azureml:texts:1"}}
side_inputs: {m: {model: digits}}
arguments: ["${{ side_inputs.m }}"]
parallel_run_config: {entry_script: score.py}
"""


@pytest.mark.processes
def test_a_run_finds_its_model_and_dataset_and_keeps_the_versions(mpibatch: Mpibatch, tmp_path: Path) -> None:
    """The path in the arguments, AZUREML_MODEL_DIR, and the versions in run.json."""
    (tmp_path / "m.bin").write_text("weights")
    (tmp_path / "score.py").write_text(SCRIPT)
    (tmp_path / "job.yaml").write_text(JOB)
    assert mpibatch("models", "register", "digits", "m.bin").returncode == 0
    assert mpibatch("datasets", "register", "texts", "score.py").returncode == 0
    ran = mpibatch("run", "job.yaml", "-n", "1", "--run-dir", "run")
    assert ran.returncode == 0, ran.stderr
    rows = (tmp_path / "run" / "outputs" / "parallel_run_step.txt").read_text()
    assert rows == f"weights m.bin {tmp_path / 'home'}\n"
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["job"]["side_inputs"][0]["model"] == "digits:1"
    (texts,) = record["job"]["inputs"]
    assert (texts["dataset"], texts["type"], texts["paths"]) == ("texts:1", "files", [str(tmp_path / "score.py")])
