"""A pipeline of three small steps: prepare by script, score in parallel, report by script."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Done, Job

PREPARE = """\
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--count", type=int)
parser.add_argument("--out")
options = parser.parse_args()
assert options.out == os.environ["MPIBATCH_OUTPUT_DIR"] == os.environ["AZUREML_BI_OUTPUT_PATH"]
for number in range(options.count):
    with open(f"{options.out}/{number:02}.txt", "w") as file:
        file.write("x" * number)
print("prepared", options.count)
"""
SCORE = """\
import os
import helper

def run(mini_batch):
    return [f"{os.path.basename(path)} {helper.size(path)}" for path in mini_batch]
"""
HELPER = """\
import os

def size(path):
    return os.path.getsize(path)
"""
REPORT = """\
import os, sys
with open(sys.argv[1]) as rows, open(os.environ["MPIBATCH_OUTPUT_DIR"] + "/report.txt", "w") as report:
    report.write(f"{len(rows.readlines())} rows\\n")
"""
STEPS = [
    {
        "name": "report",
        "script": "report.py",
        "source_directory": "reporting",
        "arguments": ["${{ steps.score.output }}/parallel_run_step.txt"],
    },
    {
        "name": "prepare",
        "script": "prepare.py",
        "source_directory": "preparing",
        "arguments": ["--count", "${{ parameters.count }}", "--out", "${{ steps.prepare.output }}"],
    },
    {
        "name": "score",
        "inputs": {"texts": {"type": "files", "path": "${{ steps.prepare.output }}/*.txt"}},
        "parallel_run_config": {
            "source_directory": "scoring",
            "entry_script": "score.py",
            "mini_batch_size": "${{ parameters.size }}",
        },
    },
]


def write(folder: Path, **keys: Any) -> None:
    """The pipeline file and its scripts."""
    for name, text in {
        "preparing/prepare.py": PREPARE,
        "scoring/score.py": SCORE,
        "scoring/helper.py": HELPER,
        "reporting/report.py": REPORT,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    data = {"name": "three-steps", "parameters": {"count": 6, "size": 2}, "steps": STEPS, **keys}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(data))


Run = Callable[..., Done]


@pytest.fixture
def run(job: Job) -> Run:
    """`mpibatch run pipeline.yaml` in a new run directory below runs/."""

    def run(*options: object, ranks: int | None = None, **keywords: Any) -> Done:
        job.runs += 1
        run_dir = job.folder / "runs" / f"run{job.runs}"
        command = job.command("run", job.folder / "pipeline.yaml", "--run-dir", run_dir, *options, ranks=ranks)
        return job.finish(command, run_dir, **keywords)

    return run


def states(run_dir: Path) -> dict[str, str]:
    """Of each step."""
    status = json.loads((run_dir / "status.json").read_text())
    return {step["name"]: step["state"] for step in status["steps"]}
