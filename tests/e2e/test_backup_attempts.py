"""`backup_tasks`: a mini-batch that hangs where it is run first is run elsewhere, and nobody waits for the one that
hangs."""

import contextlib
import os
import signal

import pytest

from tests.conftest import Job, wait_for
from tests.processes import none_left

pytestmark = pytest.mark.processes

HANGS_ONCE = """
def first_time(name):
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True

def run(mini_batch):
    if "0009" in names(mini_batch) and first_time("hung"):
        time.sleep(1000)
    time.sleep(0.02)
    return names(mini_batch)
"""
ALL = [f"{number:04}" for number in range(21)]


def test_a_mini_batch_that_hangs_once_is_run_elsewhere(either_mpi: Job) -> None:
    job = either_mpi
    job.write(HANGS_ONCE, 21, backup_tasks=True, run_invocation_timeout=900)
    done = job.run(ranks=2, timeout=90)
    assert done.status == 0, done.said()
    assert done.rows == ALL
    none_left(job.mark)
    assert done.summary["backups"] == {"begun": 1, "won": 1}
    assert done.summary["mini_batches"] == {"total": 21, "succeeded": 21, "failed": 0, "remaining": 0}
    assert done.summary["attempts"]["succeeded"] == 21
    assert sum(done.summary["attempts"].values()) == 21, "the attempt that was ended is no failure"
    assert done.failed == []
    assert "1 begun beside slow attempts, 1 of them ended first" in done.stdout + done.stderr


def test_without_the_setting_it_is_waited_for(job: Job) -> None:
    job.write(HANGS_ONCE, 21, run_invocation_timeout=8)
    done = job.run(ranks=2, timeout=90)
    assert done.status == 0, done.said()
    assert done.rows == ALL
    assert done.summary["backups"] == {"begun": 0, "won": 0}
    assert done.summary["attempts"]["timeout"] == 1
    assert "beside slow attempts" not in done.stdout + done.stderr


def test_an_original_that_is_first_after_all_ends_the_backup(job: Job) -> None:
    """Once each: the backup, which hangs in its turn, is ended without a try."""
    script = HANGS_ONCE.replace("time.sleep(1000)", "wait_for('both')").replace(
        "    time.sleep(0.02)\n",
        """\
    elif "0009" in names(mini_batch):
        Path("both").touch()
        time.sleep(1000)
    time.sleep(0.02)
""",
    )
    script = "\ndef wait_for(name):\n    while not os.path.exists(name): time.sleep(0.01)\n" + script
    job.write(script, 21, backup_tasks=True, run_invocation_timeout=900)
    done = job.run(ranks=2, timeout=90)
    assert done.status == 0, done.said()
    assert done.rows == ALL
    assert done.summary["backups"] == {"begun": 1, "won": 0}
    assert sum(done.summary["attempts"].values()) == 21


@pytest.mark.ci
def test_a_resume_knows_what_two_ranks_had(job: Job) -> None:
    """All processes are killed while two ranks are at one mini-batch: it is run again, and once in the output."""
    script = HANGS_ONCE.replace('first_time("hung")', '(first_time("hung") or first_time("hung too"))')
    job.write(script, 21, backup_tasks=True, run_invocation_timeout=900, error_threshold=-1)

    def kill_when_both_hang(process: object, run_dir: object) -> None:
        wait_for((job.folder / "hung too").exists, 60)
        for pid in job.processes():
            with contextlib.suppress(ProcessLookupError):  # it has ended with another
                os.kill(pid, signal.SIGKILL)

    killed = job.run(ranks=2, meanwhile=kill_when_both_hang)
    assert killed.status != 0
    done = job.finish(job.command("resume", killed.run_dir, ranks=2), killed.run_dir, timeout=90)
    assert done.status == 0, done.said()
    assert done.rows == ALL
    assert done.summary["mini_batches"] == {"total": 21, "succeeded": 21, "failed": 0, "remaining": 0}
