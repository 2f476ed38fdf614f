"""Whatever of a job dies by SIGKILL, all that the script has started is gone two seconds later, daemons included: with
what has died where nobody is left to go on, else when the run is over."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.chaos.disturb import processes
from tests.chaos.jobs import mpibatch
from tests.conftest import mpirun
from tests.processes import MARK, command, marked, none_left

pytestmark = [pytest.mark.processes, pytest.mark.ci]

COUNT = 400
SCRIPT = """
import os, subprocess, time
def init():
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.Popen(["sh", "-c", "(setsid sleep 601 &) ; exit"])
def run(mini_batch):
    time.sleep(0.02)
    return mini_batch
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "score.py").write_text(SCRIPT)
    (tmp_path / "paths.txt").write_text("".join(f"/data/{number}\n" for number in range(COUNT)))
    inputs = {"numbers": {"type": "files", "path": {"manifest": "paths.txt"}}}
    settings = {"entry_script": "score.py", "mini_batch_size": 1}
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({"name": "daemons", "inputs": inputs, "parallel_run_config": settings}))
    return path


class Job:
    """A job of two ranks at work, with two executors that have each started two daemons."""

    def __init__(self, argv: list[str], run: Path) -> None:
        self.mark = uuid4().hex
        self.run = run
        # a folder of its own for what mpirun leaves: a later one of the same process number would not start beside it
        env = {**os.environ, MARK: self.mark, "TMPDIR": str(run.parent)}
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 30
        while len(self.daemons()) < 4 or not self.of("rank 0"):
            assert time.monotonic() < until, [command(pid) for pid in marked(self.mark)]
            time.sleep(0.01)

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *error: object) -> None:
        for pid in marked(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def of(self, kind: str) -> list[int]:
        return processes(self.mark, self.run, self.process.pid)[kind]

    def daemons(self) -> list[int]:
        return [pid for pid in marked(self.mark) if command(pid).startswith("sleep")]

    def kill(self, kind: str) -> None:
        os.kill(random.choice(self.of(kind)), signal.SIGKILL)


def by_launcher(job: Path, run: Path) -> list[str]:
    return mpibatch("run", job, "-n", 2, "--run-dir", run)


def by_user(job: Path, run: Path) -> list[str]:
    return [*mpirun(Path(sys.executable), 2), *mpibatch("run", job, "--run-dir", run)]


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (by_launcher, "launcher"),
        (by_launcher, "launcher's supervisor"),
        (by_launcher, "mpirun"),
        (by_user, "mpirun"),
    ],
)
def test_what_ends_with_its_starter(job: Path, start: Callable[[Path, Path], list[str]], kind: str) -> None:
    """The launcher, the supervisor of mpirun, and mpirun itself, whoever started it."""
    with Job(start(job, job.parent / "run"), job.parent / "run") as it:
        it.kill(kind)
        none_left(it.mark)
        it.process.wait()


@pytest.mark.parametrize("kind", ["executor", "rank", "rank 0", "supervisor"])
def test_what_leaves_others_at_work(job: Path, kind: str) -> None:
    """The daemons of the executor that has died are gone though the run goes on."""
    with Job(by_launcher(job, job.parent / "run"), job.parent / "run") as it:
        before, deadmen = set(it.daemons()), set(it.of("deadman"))
        it.kill(kind)
        while kind != "rank 0" and len(before & set(it.daemons())) > 2:
            assert it.process.poll() is None, "the run is over, and its daemons were still there"
            time.sleep(0.01)
        if kind in ("executor", "supervisor"):
            assert set(it.of("deadman")) == deadmen
        status = it.process.wait(60)
        none_left(it.mark)
        assert status == (75 if kind == "rank 0" else 0)


@pytest.mark.parametrize("kind", ["rank", "rank 0"])
def test_a_rank_that_was_stopped_ends_with_mpirun(job: Path, kind: str) -> None:
    """Its own threads cannot see to that; the supervisor of mpirun does."""
    with Job(by_launcher(job, job.parent / "run"), job.parent / "run") as it:
        os.kill(it.of(kind)[0], signal.SIGSTOP)
        it.kill("mpirun")
        none_left(it.mark)
        it.process.wait()
