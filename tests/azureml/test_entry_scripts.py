"""Entry scripts as they were written for Azure, unchanged, in real executors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpibatch.sdk.model import Model
from mpibatch.sdk.run import Run
from mpibatch.sdk.workspace import Workspace

pytestmark = pytest.mark.processes

SCRIPT = '''
"""All that the small print of the contract allows, at once."""
import argparse, logging, os, sys
import pandas as pd
from azureml.core import Model, Run, Workspace, Dataset
from azureml_user.parallel_run import EntryScript
import helpers.neighbour
from sibling import double

parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=int)
args, unknown_args = parser.parse_known_args()
position = [sys.argv[i + 1] for i, word in enumerate(sys.argv) if word == "--other"][0]


def init():
    global entry_script, model
    entry_script = EntryScript()
    logging.getLogger().handlers.clear()
    entry_script.logger.info("init was here")
    handler = logging.StreamHandler()
    entry_script.logger.addHandler(handler)
    entry_script.logger.propagate = False
    with open(Model.get_model_path("digits")) as file:
        model = file.read()
    assert os.path.exists(os.path.join(os.getenv("AZUREML_MODEL_DIR"), "digits", "1", "m.bin"))


def run(mini_batch, mini_batch_context):
    run = Run.get_context()
    run.log("rows", len(mini_batch))
    run.tag("kind", "test")
    assert run.experiment.workspace.name == "default"
    entry_script.logger.warning(f"run {mini_batch.task_id}")
    assert mini_batch.task_id == mini_batch_context.minibatch_index
    name = f"{mini_batch.task_id}.txt"
    with open(os.path.join(entry_script.output_dir, name), "w") as file:
        file.write(entry_script.agent_name)
    run.upload_file(f"outputs/{name}", os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], name))
    if mini_batch.task_id == 0:
        run.register_model("from-run", f"outputs/{name}", tags={"area": "x"})
    sizes = [double(os.path.getsize(path)) * args.factor for path in mini_batch]
    return pd.DataFrame({"n": [os.path.basename(p) for p in mini_batch], "s": sizes, "m": f"{model} {position}"})
'''
JOB = """
name: unchanged
inputs: {texts: {type: files, path: "data/*.txt"}}
arguments: [--factor, 3, --other, there]
parallel_run_config: {source_directory: code, entry_script: score.py, mini_batch_size: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the job has run, with two ranks."""
    folder = tmp_path_factory.mktemp("unchanged")
    for name, text in {
        "code/score.py": SCRIPT,
        "code/sibling.py": "def double(x): return 2 * x\n",
        "code/helpers/neighbour.py": "",
        "code/parallel_run_step.settings.json": "{}",
        "m.bin": "weights",
        "job.yaml": JOB,
        **{f"data/{number}.txt": "x" * number for number in range(4)},
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    environment = {**os.environ, "MPIBATCH_HOME": str(folder / "home")}

    def mpibatch(*words: str) -> None:
        command = [sys.executable, "-m", "mpibatch", *words]
        ran = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr

    mpibatch("models", "register", "digits", "m.bin")
    mpibatch("run", "job.yaml", "-n", "2", "--run-dir", "run")
    return folder


def test_rows_are_as_to_csv_writes_them(folder: Path) -> None:
    """Separated by spaces, quoted where a field has one; arguments, neighbours and model were found."""
    rows = (folder / "run" / "outputs" / "parallel_run_step.txt").read_text().splitlines()
    assert rows == [f'{number}.txt {6 * number} "weights there"' for number in range(4)]


def test_what_the_script_wrote_lies_beside_them(folder: Path) -> None:
    """One output folder, and a name for each process."""
    written = sorted((folder / "run" / "outputs").rglob("[01].txt"))
    assert [path.name for path in written] == ["0.txt", "1.txt"]
    assert {path.read_text() for path in written} <= {"process000", "process001"}


def test_metrics_tags_files_and_models_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what two ranks have logged under one name."""
    run = Run(folder / "run")
    assert run.get_metrics() == {"rows": [2, 2]}
    assert run.get_tags() == {"kind": "test"}
    assert run.get_file_names() == ["outputs/0.txt", "outputs/1.txt"]
    monkeypatch.setenv("MPIBATCH_HOME", str(folder / "home"))
    assert Model(Workspace(), "from-run").tags == {"area": "x"}


def test_the_log_is_kept_whatever_the_script_does_to_handlers(folder: Path) -> None:
    """Lines of EntryScript().logger, once each."""
    logs = (folder / "run" / "logs" / "user" / "entry_script_log").rglob("*.txt")
    text = "".join(path.read_text() for path in logs)
    assert text.count("init was here") in (1, 2)
    assert [text.count(f"run {number}") for number in (0, 1)] == [1, 1]
    assert json.loads((folder / "run" / "summary.json").read_text())["status"] == "completed"
