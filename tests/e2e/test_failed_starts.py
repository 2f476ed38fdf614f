"""Ranks and executors that do not come up, for reasons that are not the script's."""

import os
from textwrap import dedent

import pytest

from tests.conftest import ROOT, Job

pytestmark = [pytest.mark.processes, pytest.mark.ci]

SCRIPT = "def run(mini_batch):\n    return names(mini_batch)\n"


def changed(job: Job, code: str) -> dict[str, str]:
    """Variables with which every Python of the run first runs `code`, in ranks only; RANK is the rank's number."""
    head = """
    import errno, os, sys, time
    RANK = os.environ.get("OMPI_COMM_WORLD_RANK", "0")
    def in_a_rank():
        from mpibatch.worker.executor_process import ExecutorProcess
        from mpibatch.mpi import registration
    """
    body = "".join(f"    {line}\n" for line in dedent(code).strip().splitlines())
    (job.folder / "site").mkdir()
    (job.folder / "site" / "sitecustomize.py").write_text(
        dedent(head) + body + "if 'mpibatch.mpi' in sys.orig_argv:\n    in_a_rank()\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(job.folder / "site"), str(ROOT)])}


def test_no_room_for_a_process_anywhere(job: Job) -> None:
    """What may pass is waited for; what may not ends with 75, so that --restarts are used; and logs/sys say why.

    It was exit 2, as if the job file were wrong, and exit 3 at an executor's restart.
    """
    job.write(SCRIPT, 10)
    variables = changed(
        job,
        """
        before, calls = ExecutorProcess.__init__, []
        again = os.path.exists("again" + RANK)
        open("again" + RANK, "w").close()
        def refused(self, *words, **named):
            calls.append(1)
            if not again:
                raise PermissionError(errno.EACCES, "not yet")
            if len(calls) < 4:
                raise OSError(errno.EAGAIN, "no room")
            before(self, *words, **named)
        ExecutorProcess.__init__ = refused
        """,
    )
    done = job.run("--restarts", 1, ranks=2, variables=variables)
    assert done.status == 0, done.said()
    assert done.rows == [f"{number:04}" for number in range(10)]
    assert done.summary["restarts"] == 1
    assert "starting again (1 of 1 restarts)" in done.said()
    assert "no executor can be started on" in done.said()
    for rank in (0, 1):
        (log,) = (done.run_dir / "logs" / "sys").glob(f"*/rank{rank}.txt")
        assert "not yet" in log.read_text()
        assert log.read_text().count("no room") >= 3


def test_a_rank_whose_file_system_hangs_at_its_start_costs_itself(job: Job) -> None:
    """All waited for it, and were killed after startup_timeout."""
    job.write(SCRIPT, 10, rank_timeout=3)
    variables = changed(job, "if RANK == '2': registration.log_to = lambda *words: time.sleep(15)")
    done = job.run(ranks=3, variables={**variables, "MPIBATCH_START_LIMIT": "8"})
    assert done.status == 0, done.said()
    assert done.rows == [f"{number:04}" for number in range(10)]
    assert done.summary["restarts"] == 0
    # rank 0 gives it up, or its deadman process is first to end it: a busy machine decides
    assert "rank 2 on its host has been silent" in done.said() or "(startup_timeout)" in done.said()
