"""A step is run again for each thing that decides its rows, and for nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mpibatch.errors import ExitStatus
from mpibatch.pipelines import commands
from mpibatch.pipelines.directory import RunOptions
from mpibatch.pipelines.runner import RunnerOptions
from mpibatch.reporting.progress import ProgressMode
from mpibatch.workspace.models import ModelRegistry
from tests.conftest import ROOT
from tests.pipelines.conftest import HELPER, SCORE, states

pytestmark = pytest.mark.processes

PIPELINE = {
    "name": "tested",
    "parameters": {"level": 1},
    "steps": [
        {
            "name": "score",
            "inputs": {"texts": {"type": "files", "path": "data/*.txt"}},
            "side_inputs": {"model": {"model": "weights"}},
            "arguments": ["--level", "${{ parameters.level }}"],
            "parallel_run_config": {
                "source_directory": "scripts",
                "entry_script": "score.py",
                "process_count_per_node": 1,
            },
        }
    ],
}
CHANGES: dict[str, Callable[[Path], object]] = {
    "an input": lambda folder: (folder / "data/1.txt").write_text("longer"),
    "the script": lambda folder: (folder / "scripts/score.py").write_text(SCORE + "\n# changed\n"),
    "a sibling module": lambda folder: (folder / "scripts/helper.py").write_text(HELPER + "\n# changed\n"),
    "the model": lambda folder: ModelRegistry(folder / "home").register("weights", folder / "model.bin"),
}


@pytest.mark.ci
def test_each_change_runs_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    env = {**os.environ, "MPIBATCH_HOME": str(tmp_path / "home")}
    files = {"data/0.txt": "0", "data/1.txt": "11", "scripts/score.py": SCORE, "scripts/helper.py": HELPER}
    for name, text in {**files, "model.bin": "weights", "pipeline.yaml": yaml.safe_dump(PIPELINE)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    CHANGES["the model"](tmp_path)
    runs = iter(range(100))

    def state(*sets: str) -> str:
        """Of the step in a new run."""
        said: list[str] = []
        run_dir = tmp_path / "runs" / str(next(runs))
        quiet = RunnerOptions(progress=ProgressMode.NONE)
        status = commands.run(tmp_path / "pipeline.yaml", sets, None, run_dir, RunOptions(), quiet, env, said.append)
        assert status is ExitStatus.COMPLETE, said
        return states(run_dir)["score"]

    assert state() == "completed"
    assert state() == "reused"
    assert state("level=2") == "completed"
    assert state() == "reused", "the earlier parameter's output is still there"
    for name, change in CHANGES.items():
        change(tmp_path)
        assert state() == "completed", name
    assert state() == "reused"
