"""What ends a run from outside: it stops in time, says so, leaves nothing running, and can be gone on with."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Job, wait_for
from tests.processes import command, none_left

pytestmark = pytest.mark.processes

SLOW = """
def run(mini_batch, context):
    with open(f"begun{os.environ['MPIBATCH_RANK']}", "a") as file:
        print(context.minibatch_index, file=file)
    time.sleep(0.1)
    return names(mini_batch)
"""
FILES = 60
EXPECTED = [f"{number:04}" for number in range(FILES)]


class Signaller:
    """Sends a signal to the command once some ranks have begun to work."""

    def __init__(self, job: Job, number: signal.Signals, ranks: int) -> None:
        self.job, self.number, self.ranks = job, number, ranks

    def __call__(self, process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: len(list(self.job.folder.glob("begun*"))) == self.ranks)
        process.send_signal(self.number)


@pytest.mark.parametrize(
    ("ranks", "name"),
    [
        (2, "SIGINT"),
        pytest.param(1, "SIGTERM", marks=pytest.mark.ci),
        pytest.param(2, "SIGUSR1", marks=pytest.mark.ci),
        pytest.param(1, "SIGINT", marks=pytest.mark.ci),
        pytest.param(1, "SIGUSR1", marks=pytest.mark.ci),
        pytest.param(3, "SIGTERM", marks=pytest.mark.ci),
    ],
)
def test_a_signal_stops_the_run_and_resume_goes_on(ranks: int, name: str, either_mpi: Job) -> None:
    """Running mini-batches are let finish; the resumed output is what an undisturbed run gives; nothing runs twice."""
    job = either_mpi
    job.write(SLOW, FILES)
    done = job.run(ranks=ranks, meanwhile=Signaller(job, signal.Signals[name], ranks))
    assert done.status == 75, done.said()
    assert "can be resumed" in done.stdout + done.stderr
    assert done.summary["status"] == "stopped"
    assert done.summary["reason"].startswith("Ctrl-C or a signal to the launcher, received by rank")
    assert "SIGINT" not in done.stdout + done.stderr
    remaining = done.summary["mini_batches"]["remaining"]
    assert 0 < remaining < FILES
    assert done.summary["mini_batches"]["failed"] == 0
    assert not job.processes()
    resumed = job.finish(job.command("resume", done.run_dir, ranks=ranks), done.run_dir)
    assert resumed.status == 0, resumed.said()
    assert resumed.rows == EXPECTED
    begun = [int(line) for path in job.folder.glob("begun*") for line in path.read_text().splitlines()]
    assert sorted(begun) == list(range(FILES))


@pytest.mark.ci
def test_what_outlasts_the_grace_is_ended(job: Job) -> None:
    job.write(SLOW.replace("0.1", "1000"), FILES, grace=1)
    done = job.run(ranks=2, meanwhile=Signaller(job, signal.SIGTERM, 2))
    assert done.status == 75, done.said()
    assert done.summary["mini_batches"]["remaining"] == FILES
    assert done.summary["attempts"]["executor_crash"] == 0


LONG_FROM_10 = SLOW.replace("0.1", "0 if 'HURRY' in os.environ or context.minibatch_index < 10 else 1000")


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_second_interrupt_ends_at_once_and_the_run_goes_on(ranks: int, job: Job) -> None:
    """Though neither the mini-batches nor the grace would end before the test is given up."""
    job.write(LONG_FROM_10, FILES, grace=1000)

    def at_long_ones() -> bool:
        begun = [path.read_text().split() for path in job.folder.glob("begun*")]
        return len(begun) == ranks and all(lines and int(lines[-1]) >= 10 for lines in begun)

    def interrupt_twice(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(at_long_ones)  # else the run has ended before the second, which then meets Python's own handler
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)

    done = job.run(ranks=ranks, meanwhile=interrupt_twice)
    assert done.status in (75, 130), done.said()
    none_left(job.mark)
    done = job.finish(job.command("resume", done.run_dir, ranks=1), done.run_dir, variables={"HURRY": "1"})
    assert done.status == 0, done.said()
    assert done.rows == EXPECTED


@pytest.mark.parametrize(
    "delay", [0.1, 0.4, 0.8, *(pytest.param(s, marks=pytest.mark.ci) for s in (0.2, 0.3, 0.5, 0.6, 1.2))]
)
def test_a_signal_at_any_time_during_the_start(delay: float, job: Job) -> None:
    """Whatever has been set up by then: not a success, and nothing left."""
    job.write("def init(): time.sleep(1)\n" + SLOW, FILES)

    def interrupt(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)

    done = job.run(ranks=2, meanwhile=interrupt)
    assert done.status in (75, -signal.SIGTERM), done.said()


HANGING = """\
import pathlib, signal, sys, time
if "mpibatch.mpi" in sys.orig_argv:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    pathlib.Path(__file__).with_name("begun").touch()
    time.sleep(1000)
"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_signal_to_ranks_that_never_begin(ranks: int, job: Job) -> None:
    """They are not waited for: neither a handler of theirs nor MPI would hear of it."""
    job.write(SLOW, FILES)
    folder = job.folder / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HANGING)

    def interrupt(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for((folder / "begun").exists)
        process.send_signal(signal.SIGTERM)

    patient = {"PYTHONPATH": str(folder), "MPIBATCH_START_LIMIT": "600"}
    done = job.run(ranks=ranks, meanwhile=interrupt, variables=patient)
    assert done.status == 75, done.said()
    assert "stopped by SIGTERM" in done.stdout + done.stderr
    assert not job.processes()


def test_a_run_under_the_users_own_mpirun_drains_on_usr1(job: Job) -> None:
    job.write(SLOW, FILES)
    done = job.run(ranks=2, by_mpirun=True, meanwhile=Signaller(job, signal.SIGUSR1, 2))
    assert done.status == 75, done.said()
    assert done.summary["status"] == "stopped"


KILLED: dict[str, tuple[int, str | tuple[str, ...]]] = {  # word number of the command line, and its end
    "the launcher": (2, "mpibatch"),
    "mpirun": (0, ("prterun", "mpirun")),
    "a rank": (3, "mpibatch.mpi"),
    "a supervisor": (9, "liveness.supervisor_process"),
    "an executor": (4, "mpibatch.executor.main"),
}


@pytest.mark.parametrize(
    "what",
    [
        "a rank",
        *(
            pytest.param(what, marks=pytest.mark.ci)
            for what in ("the launcher", "mpirun", "a supervisor", "an executor")
        ),
    ],
)
def test_any_process_killed_leaves_nothing_behind(what: str, job: Job) -> None:
    """Where the run can go on it does; otherwise it can be resumed. The output is the same in the end."""
    job.write(SLOW, FILES)
    place, end = KILLED[what]

    def kill(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: len(list(job.folder.glob("begun*"))) == 2)
        said = {pid: command(pid).split() for pid in job.processes()}
        found = [pid for pid, words in said.items() if len(words) > place and words[place].endswith(end)]
        os.kill(max(found) if what == "a rank" else min(found), signal.SIGKILL)

    done = job.run(ranks=2, meanwhile=kill)
    wait_for(lambda: not job.processes(), seconds=5)
    if what == "an executor":
        assert done.status == 0, done.said()
    if done.status != 0:
        done = job.finish(job.command("resume", done.run_dir, ranks=2), done.run_dir)
    assert done.status == 0, done.said()
    assert done.rows == EXPECTED


@pytest.mark.ci
def test_a_run_of_one_rank_is_restarted_too(job: Job) -> None:
    """Its rank is killed; the launcher starts it again, and it goes on where it stopped."""
    job.write(SLOW, FILES)

    def kill(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for((job.folder / "begun0").exists)
        said = {pid: command(pid).split() for pid in job.processes()}
        (rank,) = [pid for pid, words in said.items() if len(words) > 3 and words[3] == "mpibatch.mpi"]
        os.kill(rank, signal.SIGKILL)

    done = job.run("--restarts", 1, ranks=1, meanwhile=kill)
    assert done.status == 0, done.said()
    assert "starting again (1 of 1 restarts)" in done.stderr
    assert done.summary["restarts"] == 1
    assert done.rows == EXPECTED
