"""All mini-batches are final, and the output is still to be put together: the run listens as before."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, Job, wait_for

pytestmark = pytest.mark.processes

SLOW_ASSEMBLY = """
import sys, time
if "mpibatch.mpi" in sys.orig_argv:
    from mpibatch.runs.assembly import Assembly
    Assembly.advance.__defaults__ = (1,)  # a mini-batch at a time
    copy = Assembly._copy
    Assembly._copy = lambda self, *where: (time.sleep(0.3), copy(self, *where))[1]
"""


def remaining(run_dir: Path) -> int:
    try:
        return int(json.loads((run_dir / "status.json").read_text())["mini_batches"]["remaining"])
    except FileNotFoundError:
        return 10**9


@pytest.mark.ci
def test_a_signal_is_heard_and_a_resume_does_what_is_left(job: Job) -> None:
    """It was deaf to signals and to the allocation's end, without a checkpoint: a large output was never complete."""
    script = """
    def run(mini_batch):
        while names(mini_batch) == ["0000"] and not os.path.exists("go"):
            time.sleep(0.01)
        return names(mini_batch)
    """
    job.write(script, 80)
    (job.folder / "site").mkdir()
    (job.folder / "site" / "sitecustomize.py").write_text(SLOW_ASSEMBLY)

    def stop(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: remaining(run_dir) == 1, 60)
        (job.folder / "go").touch()
        wait_for(lambda: remaining(run_dir) == 0, 60)
        process.send_signal(signal.SIGTERM)

    done = job.run(meanwhile=stop, variables={"PYTHONPATH": f"{job.folder / 'site'}:{ROOT}"})
    assert done.status == 75, done.said()
    assert "only the output was still to be completed" in done.stdout
    assert 0 < len(done.rows) < 80, "what was assembled is kept"
    resumed = job.finish(job.command("resume", done.run_dir, ranks=1), done.run_dir)
    assert resumed.status == 0, resumed.said()
    assert resumed.rows == [f"{number:04}" for number in range(80)]
