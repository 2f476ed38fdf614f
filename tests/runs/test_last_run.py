"""What is said of a job's last run, where it stopped."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from mpibatch.config.schema import Job, RunConfig
from mpibatch.runs.last_run import stopped_run
from mpibatch.runs.run_record import read_job
from tests.reporting.run_directories import make_run


def last_run(folder: Path, name: str, state: str) -> Job:
    directory = make_run(folder / name, state)
    return replace(read_job(directory), output=str(folder))


def test_who_starts_anew_is_told_of_a_run_that_stopped(tmp_path: Path) -> None:
    """One of the same job file, and only where it is the last: what has completed since needs no other."""
    assert stopped_run(Job(name="made", config=RunConfig(entry_script="x"), output=str(tmp_path / "away"))) == ""
    first = last_run(tmp_path, "1", "stopped")
    told = stopped_run(first)
    assert f"`mpibatch resume {tmp_path / '1'}`" in told
    assert "200 of 200 mini-batches done" in told
    assert stopped_run(replace(first, file="/another/job.yaml")) == ""
    second = replace(last_run(tmp_path, "2", "completed"), file=first.file)
    (tmp_path / "2" / "run.json").write_text((tmp_path / "1" / "run.json").read_text())
    assert stopped_run(second) == ""


def test_asking_imports_little() -> None:
    """Every run asks, and NumPy alone takes longer than the answer."""
    code = "import sys, mpibatch.runs.last_run; print([name for name in ('numpy', 'pyarrow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
