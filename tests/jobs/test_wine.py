"""The pipeline of three steps: what it says of the wines is right, and a second run takes what the first has made."""

from pathlib import Path

import pytest

from tests.jobs.running import JOBS, start
from tests.pipelines.conftest import states

pytestmark = pytest.mark.processes


def run(runs: Path, *options: str) -> Path:
    """The run directory."""
    start("-m", "mpibatch", "run", JOBS / "wine" / "pipeline.yaml", "--output", runs, *options)
    return (runs / "latest").resolve()


def test_growers_are_right_and_a_stricter_report_runs_alone(tmp_path: Path) -> None:
    first = run(tmp_path, "-n", "1")
    report = (first / "steps/report/outputs/report.md").read_text()
    assert report.startswith("94.4% of 72 held-out wines were given their grower.")
    again = run(tmp_path, "--set", "needed=0.5")
    assert states(again) == {"prepare": "reused", "score": "reused", "report": "completed"}
