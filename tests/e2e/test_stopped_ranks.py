"""A rank that is stopped (SIGSTOP), or that has long work to do: the others neither wait for it for ever nor give it up
too early, and mpirun ends."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.chaos.disturb import processes
from tests.conftest import Job, wait_for
from tests.e2e.test_signals import EXPECTED, FILES, SLOW

pytestmark = pytest.mark.processes

LAST_WORDS = """
def shutdown():
    if os.environ["MPIBATCH_RANK"] == "0":
        time.sleep(4)
    Path("left" + os.environ["MPIBATCH_RANK"]).touch()
"""
LONG_ASSEMBLY = """
import time
from mpibatch.cli.main import main
from mpibatch.runs.assembly import Assembly

def long(self, finish=Assembly.finish):
    time.sleep(15)
    finish(self)

Assembly.finish = long
main()
"""


def stop(job: Job, process: "subprocess.Popen[str]", run_dir: Path) -> None:
    [rank] = processes(job.mark, run_dir, process.pid)["rank"]
    os.kill(rank, signal.SIGSTOP)


def test_one_that_is_stopped_in_mid_run_is_given_up(job: Job) -> None:
    job.write(SLOW.replace("0.1", "0.2"), FILES, rank_timeout=6)

    def meanwhile(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: len(list(job.folder.glob("begun*"))) == 2)
        stop(job, process, run_dir)

    done = job.run(ranks=2, meanwhile=meanwhile)
    assert done.status == 0, done.said()
    assert done.rows == EXPECTED
    assert "has been silent for 6 s" in done.stdout


@pytest.mark.ci
def test_one_that_is_stopped_after_its_exit_report_is_not_waited_for(either_mpi: Job) -> None:
    """Under the user's own mpirun, which would wait for it for ever."""
    either_mpi.write(SLOW + LAST_WORDS, FILES)

    def meanwhile(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for((either_mpi.folder / "left1").exists)
        time.sleep(1)
        stop(either_mpi, process, run_dir)

    done = either_mpi.run(ranks=2, by_mpirun=True, meanwhile=meanwhile, variables={"MPIBATCH_START_LIMIT": "8"})
    assert done.summary["status"] == "completed", done.said()
    assert done.rows == EXPECTED


@pytest.mark.ci
def test_a_rank_0_that_makes_the_output_for_long_is_waited_for(job: Job) -> None:
    job.write((SLOW + LAST_WORDS).replace("sleep(4)", "sleep(0)"), FILES, rank_timeout=6)
    (job.folder / "long.py").write_text(LONG_ASSEMBLY)
    command = job.command("run", job.folder / "job.yaml", "--run-dir", job.folder / "run", ranks=2, by_mpirun=True)
    module = command.index("-m")
    done = job.finish([*command[:module], "long.py", *command[module + 2 :]], job.folder / "run")
    assert done.status == 0, done.said()
    assert (job.folder / "left1").exists()
