"""What a looker-on reads of a run at work: each time a whole state, and never an older one."""

import itertools
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from mpibatch.reporting.status import read_status
from tests.conftest import Job, wait_for

pytestmark = pytest.mark.processes

SLOW = """
def run(mini_batch):
    time.sleep(0.1)
    if names(mini_batch)[0] in ("0005", "0050"):
        raise ValueError("no")
    return names(mini_batch)
"""


def test_status_is_never_torn_and_never_goes_back(job: Job) -> None:
    """Asked as `status --json` does, as fast as that can be, over the three or four times that it is rewritten."""
    job.write(SLOW, 60, error_threshold=-1)
    seen: list[dict[str, Any]] = []

    def look(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for((run_dir / "run.json").exists)
        while process.poll() is None:
            seen.append(read_status(run_dir).to_json())
            time.sleep(0.001)
        seen.append(read_status(run_dir).to_json())

    done = job.run(ranks=2, meanwhile=look)
    assert done.status == 0, done.said()
    states = [state for state, _ in itertools.groupby(one["state"] for one in seen)]
    assert [state for state in states if state != "waiting"] == ["starting", "running", "completed"], states
    told = [one["summary"] for one in seen if one["summary"] is not None]
    written = [summary["updated"] for summary in told]
    assert written == sorted(written)
    assert len(set(written)) > 2, "it was looked at while it changed"
    for key in ("succeeded", "failed"):
        counts = [summary["mini_batches"][key] for summary in told]
        assert counts == sorted(counts)
    assert told[-1]["mini_batches"] == {"total": 60, "succeeded": 58, "failed": 2, "remaining": 0}
