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


@pytest.mark.parametrize("mini_batch_seconds", [0.3, pytest.param(1000, marks=pytest.mark.ci)])
def test_one_that_goes_on_after_it_was_given_up_gets_work_again(either_mpi: Job, mini_batch_seconds: float) -> None:
    """What it was at others have meanwhile, and its executor is ended where it still is at that."""
    job = either_mpi
    slow = "os.environ['MPIBATCH_RANK'] == '1' and not os.path.exists('again')"
    first = f"time.sleep({mini_batch_seconds} if {slow} else 0.3)"
    job.write(SLOW.replace("time.sleep(0.1)", first), FILES, rank_timeout=4, run_invocation_timeout=2000)
    begun = job.folder / "begun1"
    before = []

    def meanwhile(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: len(list(job.folder.glob("begun*"))) == 2)
        [rank] = processes(job.mark, run_dir, process.pid)["rank"]
        os.kill(rank, signal.SIGSTOP)
        wait_for(lambda: "has been silent for 4 s" in (run_dir / "logs" / "job_progress_overview.txt").read_text())
        (job.folder / "again").touch()
        os.kill(rank, signal.SIGCONT)
        before.extend(begun.read_text().split())

    done = job.run(ranks=2, meanwhile=meanwhile)
    assert done.status == 0, done.said()
    assert done.rows == EXPECTED
    assert "is heard again, and gets work again" in done.stdout
    assert len(begun.read_text().split()) > len(before) + 3
