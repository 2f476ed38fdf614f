"""Azure's job files, imported, run and give what a program with the same steps gives."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mpibatch.pipelines.api import (
    Experiment,
    OutputFileDatasetConfig,
    ParallelRunConfig,
    ParallelRunStep,
    Pipeline,
    PythonScriptStep,
)
from mpibatch.sdk.dataset import Dataset
from mpibatch.sdk.workspace import Workspace
from tests.conftest import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.timeout(200)]

PREPARE = """\
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--words")
parser.add_argument("--out")
options = parser.parse_args()
os.makedirs(options.out, exist_ok=True)
for number, word in enumerate(open(options.words).read().split()):
    with open(f"{options.out}/{number}.txt", "w") as file:
        file.write(word)
"""
SCORE = """\
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=int)
options, unknown = parser.parse_known_args()

def run(mini_batch):
    return [f"{os.path.basename(path)} {len(open(path).read()) * options.factor}" for path in mini_batch]
"""
PIPELINE = """\
type: pipeline
display_name: Count_Letters
inputs: {words: {type: uri_file, path: ./words.txt}, factor: 3}
jobs:
  prepare:
    type: command
    code: ./src
    command: python prepare.py --words ${{inputs.words}} --out ${{outputs.texts}}
    inputs: {words: "${{parent.inputs.words}}"}
    outputs: {texts: {type: uri_folder}}
  score:
    type: parallel
    inputs: {texts: "${{parent.jobs.prepare.outputs.texts}}", factor: "${{parent.inputs.factor}}"}
    outputs: {rows: {type: uri_file, path: "azureml://datastores/x/paths/rows.txt"}}
    input_data: ${{inputs.texts}}
    mini_batch_size: "2"
    task:
      type: run_function
      code: ./src
      entry_script: score.py
      program_arguments: --factor ${{inputs.factor}}
      append_row_to: ${{outputs.rows}}
"""
CONFIG = """\
entry_script: score_one.py
source_directory: src
mini_batch_size: "2"
output_action: append_row
append_row_file_name: rows.txt
run_max_try: 3
node_count: 1
process_count_per_node: 1
environment_name: env
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MPIBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    one = SCORE.replace("options.factor", "1")
    for name, text in {"prepare": PREPARE, "score": SCORE, "score_one": one}.items():
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / f"{name}.py").write_text(text)
    (tmp_path / "words.txt").write_text("a bc def ghij klmno")
    return Workspace()


def mpibatch(*words: str) -> None:
    command = [sys.executable, "-m", "mpibatch", *words]
    ran = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def rows_of(pipeline: Pipeline, file: str) -> bytes:
    """What the last step of a program's pipeline writes."""
    run = Experiment(pipeline.workspace, "same").submit(pipeline)
    run.wait_for_completion(show_output=False)
    path: Path = next(run.get_steps()).directory.outputs / file
    return path.read_bytes()


def test_a_v2_pipeline(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(PIPELINE)
    mpibatch("import", "job.yml", "-o", "pipeline.yaml")
    mpibatch("run", "pipeline.yaml", "--run-dir", "run")
    texts = OutputFileDatasetConfig("texts")
    words = Dataset.File.from_files("words.txt").as_named_input("words").as_mount()
    prepare = PythonScriptStep(
        "prepare.py", name="prepare", source_directory="src", arguments=["--words", words, "--out", texts]
    )
    config = ParallelRunConfig(
        source_directory="src",
        entry_script="score.py",
        mini_batch_size="2",
        error_threshold=-1,
        append_row_file_name="rows.txt",
    )
    score = ParallelRunStep("score", config, inputs=[texts.as_input("texts")], arguments=["--factor", 3])
    expected = rows_of(Pipeline(workspace, [prepare, score]), "rows.txt")
    assert (tmp_path / "run/steps/score/outputs/rows.txt").read_bytes() == expected
    assert expected == b"0.txt 3\n1.txt 6\n2.txt 9\n3.txt 12\n4.txt 15\n"


@pytest.mark.ci
def test_a_v1_configuration(workspace: Workspace, tmp_path: Path) -> None:
    """Its inputs were in the program: edited in, as the import says."""
    (tmp_path / "config.yml").write_text(CONFIG)
    mpibatch("import", "config.yml", "-o", "imported.yaml")
    job: dict[str, Any] = yaml.safe_load((tmp_path / "imported.yaml").read_text())
    job["inputs"]["data"]["path"] = "words.txt"
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    mpibatch("run", "job.yaml", "--run-dir", "run")
    config = ParallelRunConfig.load_yaml(workspace, "config.yml")
    step = ParallelRunStep("score", config, inputs=[Dataset.File.from_files("words.txt")])
    expected = rows_of(Pipeline(workspace, [step]), "rows.txt")
    assert (tmp_path / "run/outputs/rows.txt").read_bytes() == expected == b"words.txt 19\n"
