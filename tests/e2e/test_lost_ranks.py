"""Mini-batches that end their rank, wishes that outlive a rank, and what a launcher does between two incarnations."""

import os
import signal
import threading

import pytest

from mpibatch.launching.run import StopSignals
from tests.conftest import Job

KILL_RANK = """
def rank():
    return int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])

def kill_rank():
    os.kill(rank(), signal.SIGKILL)
    time.sleep(100)
"""


@pytest.mark.processes
def test_a_mini_batch_that_ends_its_rank_fails_and_all_others_are_done(job: Job) -> None:
    """It was granted again for ever, first of all on each resume: the healthy ones behind it were never done."""
    script = (
        KILL_RANK
        + "\ndef run(mini_batch):\n    names(mini_batch) == ['0002'] and kill_rank()\n    return names(mini_batch)\n"
    )
    job.write(script, 10, error_threshold=-1)
    done = job.run("--restarts", 6, ranks=3)
    assert done.status == 0, done.said()
    assert done.rows == [f"{number:04}" for number in range(10) if number != 2]
    (failed,) = done.failed
    assert (failed["mini_batch"], failed["cause"], failed["tries"]) == (2, "lost_rank", 3)
    assert "3 times while it ran alone" in failed["error"]
    assert done.summary["mini_batches"]["failed"] == 1


@pytest.mark.ci
@pytest.mark.processes
def test_retry_failed_survives_a_rank_that_dies_at_its_start(job: Job) -> None:
    """The launcher had dropped the wish, and nothing was tried again: `completed`, exit 0."""
    job.write(
        "def run(mini_batch):\n    return names(mini_batch) if os.path.exists('mended') else None\n",
        3,
        error_threshold=-1,
        run_max_try=1,
        allowed_failed_percent=100,
    )
    job.run(ranks=1)
    (job.folder / "mended").touch()
    (job.folder / "site").mkdir()
    (job.folder / "site" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if '--retry-failed' in sys.orig_argv and 'mpibatch.mpi' in sys.orig_argv:\n"
        "    import mpibatch.mpi.conduct as main\n"
        "    main.Coordinator = lambda *words: os._exit(9)\n"
    )
    resume = job.command("resume", job.folder / "run1", "--retry-failed", "--restarts", 1, ranks=1)
    path = os.pathsep.join([str(job.folder / "site"), os.environ["PYTHONPATH"]])
    done = job.finish(resume, job.folder / "run1", variables={"PYTHONPATH": path})
    assert done.status == 0, done.said()
    assert "starting again" in done.stdout + done.stderr
    assert len(done.rows) == 3
    assert done.failed == []


@pytest.mark.ci
@pytest.mark.processes
def test_rows_that_did_not_fit_are_tried_again(job: Job) -> None:
    """--retry-failed left them out: the log has them as successes."""
    script = """
    def run(mini_batch):
        return [{"b" if names(mini_batch) == ["0001"] and not os.path.exists("mended") else "a": 1}]
    """
    job.write(script, 3, error_threshold=-1, append_row_file_name="out.csv")
    first = job.run(ranks=1)
    assert len(first.failed) == 1, first.said()
    (job.folder / "mended").touch()
    done = job.finish(job.command("resume", first.run_dir, "--retry-failed", ranks=1), first.run_dir)
    assert done.status == 0, done.said()
    assert (done.run_dir / "outputs" / "out.csv").read_text() == "a\n1\n1\n1\n"
    assert done.failed == []
    assert done.summary["items"]["failed"] == 0


def test_a_signal_between_two_incarnations_is_heard() -> None:
    """It ended the launcher by the signal's default, and a batch script did not requeue."""
    with StopSignals(grace=1) as stop:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert stop.wait(60)
        assert stop.received == [signal.SIGTERM]
