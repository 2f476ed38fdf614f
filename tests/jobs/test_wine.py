"""The pipeline of three steps: what it says of the wines is right, and a second run takes what the first has made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpibatch.cluster.environment import without_launcher_variables
from tests.pipelines.conftest import states

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.processes


def run(runs: Path, *options: str) -> Path:
    """The run directory."""
    done = subprocess.run(
        [sys.executable, "-m", "mpibatch", "run", ROOT / "jobs/wine/pipeline.yaml", "--output", runs, *options],
        env={**without_launcher_variables(os.environ), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return (runs / "latest").resolve()


def test_growers_are_right_and_a_stricter_report_runs_alone(tmp_path: Path) -> None:
    first = run(tmp_path, "-n", "1")
    report = (first / "steps/report/outputs/report.md").read_text()
    assert report.startswith("94.4% of 72 held-out wines were given their grower.")
    again = run(tmp_path, "--set", "needed=0.5")
    assert states(again) == {"prepare": "reused", "score": "reused", "report": "completed"}
