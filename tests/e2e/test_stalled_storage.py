"""A file system that does not answer delays a run, and ends nothing."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Job, wait_for

pytestmark = pytest.mark.processes

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

STALLS = """
import os, sys, time
RANK = os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK"))
if "mpibatch.mpi" in sys.orig_argv:
    def stall(cls, name, after, before):
        calls = []
        def stalled(self, *words, **named):
            calls.append(1)
            time.sleep(10 * (len(calls) == after))
            return before(self, *words, **named)
        setattr(cls, name, stalled)
    if RANK == "0":
        from mpibatch.runs.results_log import ResultsLog
        stall(ResultsLog, "append", 8, ResultsLog.append)
    if RANK == "1":
        from mpibatch.worker.executor_process import ExecutorProcess
        stall(ExecutorProcess, "__init__", 2, ExecutorProcess.__init__)
"""


@pytest.mark.ci
def test_a_stall_of_the_log_and_of_a_member_s_disk_ends_nothing(either_mpi: Job) -> None:
    """Rank 0 was killed with the run after 2 x rank_timeout, and the member was lost to it for good."""
    job = either_mpi
    script = """
    def run(mini_batch):
        time.sleep(0.1)
        return names(mini_batch)
    """
    job.write(script, 40, rank_timeout=3, max_mini_batches_per_executor=6)
    (job.folder / "site").mkdir()
    (job.folder / "site" / "sitecustomize.py").write_text(STALLS)
    path = os.pathsep.join([str(job.folder / "site"), str(ROOT)])
    done = job.run(ranks=2, variables={"PYTHONPATH": path})
    assert done.status == 0, done.said()
    assert done.rows == [f"{number:04}" for number in range(40)]
    assert "silent" not in done.stdout
    assert done.summary["attempts"]["lost_rank"] == 0
    assert done.summary["restarts"] == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file system of its own, that can be frozen: then no write to it returns (fsfreeze(8))."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    image.touch()
    os.truncate(image, 256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield folder
    subprocess.run(["fsfreeze", "--unfreeze", folder], check=False, capture_output=True)
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.ci
@only_root
def test_a_disk_that_stalls_for_a_minute_ends_nothing(either_mpi: Job, disk: Path) -> None:
    """The launcher, whose limit is 40 s here (run_silence), saw no renewal of the lease and killed all."""
    job = either_mpi
    script = """
    def run(mini_batch):
        print(mini_batch)
        time.sleep(0.05)
        return [mini_batch[0] + "x" * 1000]
    """
    job.write(script, 300, rank_timeout=10, max_mini_batches_per_executor=20)

    def stall(process: object, run_dir: Path) -> None:
        output = run_dir / "outputs" / "parallel_run_step.txt"
        wait_for(lambda: output.exists() and output.stat().st_size > 30_000)
        subprocess.run(["fsfreeze", "--freeze", disk], check=True)
        time.sleep(60)
        subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)

    done = job.run(ranks=3, run_dir=disk / "run", meanwhile=stall, variables={"MPIBATCH_START_LIMIT": "20"})
    assert done.status == 0, done.said()
    assert [row.removesuffix("x" * 1000) for row in done.rows] == [
        str(job.folder / "data" / f"{number:04}") for number in range(300)
    ]
    assert done.summary["attempts"]["lost_rank"] == 0
    assert done.summary["restarts"] == 0
    assert done.failed == []
