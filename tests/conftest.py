"""Whole jobs as a user runs them: an entry script, a job file and files in a folder, and mpibatch in processes of its
own. After each test no process of its jobs may be left."""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, settings

import mpibatch
from mpibatch.cluster.environment import without_launcher_variables
from tests.processes import MARK, marked, none_left

# A test asserts what comes out, never how long it took: the machine may be busy
settings.register_profile("quick", max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=50)  # .ci/run
settings.load_profile("quick")

ROOT = Path(mpibatch.__file__).parents[1]
"""What is tested is the mpibatch that the tests import, wherever another one is installed."""

os.environ["PYTHONPATH"] = str(ROOT)  # also by the processes that tests start
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of a thousand processes compiles it anew

HEAD = """\
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path

def names(mini_batch):
    return [os.path.basename(path) for path in mini_batch]

"""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str
    run_dir: Path
    seconds: float

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.run_dir / "summary.json").read_text())
        return summary

    @property
    def output(self) -> bytes:
        return (self.run_dir / "outputs" / "parallel_run_step.txt").read_bytes()

    @property
    def rows(self) -> list[str]:
        return self.output.decode().splitlines()

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.run_dir / "failed_items.jsonl").read_text().splitlines()]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every attempt."""
        events: list[dict[str, Any]] = pq.read_table(self.run_dir / "events.parquet").to_pylist()
        return events

    def said(self) -> str:
        """For the message of an assertion."""
        return f"status {self.status} after {self.seconds:.1f} s\n{self.stdout}\n{self.stderr}"


@dataclass
class Job:
    """A folder with a job. `python`: whose environment's MPI runs it."""

    folder: Path
    python: Path = Path(sys.executable)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    runs: int = 0

    def write(self, script: str, files: Sequence[str] | int, **config: Any) -> None:
        """The script (after HEAD), empty files below data/, and the job file with these settings."""
        (self.folder / "score.py").write_text(HEAD + dedent(script))
        (self.folder / "data").mkdir(exist_ok=True)
        for name in [f"{number:04}" for number in range(files)] if isinstance(files, int) else files:
            (self.folder / "data" / name).touch()
        job = {
            "name": "tested",
            "inputs": {"names": {"type": "files", "path": "data"}},
            "parallel_run_config": {"entry_script": "score.py", "mini_batch_size": 1, **config},
        }
        (self.folder / "job.yaml").write_text(yaml.safe_dump(job))

    def environment(self, **variables: str) -> dict[str, str]:
        own = without_launcher_variables(os.environ)
        return {**own, "PYTHONPATH": str(ROOT), MARK: self.mark, **variables}

    def command(self, *arguments: object, ranks: int | None = None, by_mpirun: bool = False) -> list[str]:
        """`mpibatch ARGUMENTS`, on so many ranks; by_mpirun: under an mpirun of the user's."""
        command = [str(self.python), "-m", "mpibatch", *map(str, arguments)]
        if by_mpirun:
            assert ranks is not None
            return [*mpirun(self.python, ranks), *command]
        return [*command, "-n", str(ranks)] if ranks is not None else command

    def start(self, command: list[str], **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )

    def run_dir(self) -> Path:
        """A new name."""
        self.runs += 1
        return self.folder / f"run{self.runs}"

    def run(
        self,
        *options: object,
        ranks: int | None = 2,
        by_mpirun: bool = False,
        run_dir: Path | None = None,
        meanwhile: Callable[["subprocess.Popen[str]", Path], object] = lambda process, run_dir: None,
        variables: Mapping[str, str] | None = None,
        timeout: float = 100,
    ) -> Done:
        """`mpibatch run job.yaml` to its end. `meanwhile` is called once it has been started."""
        run_dir = run_dir or self.run_dir()
        command = self.command(
            "run", self.folder / "job.yaml", "--run-dir", run_dir, *options, ranks=ranks, by_mpirun=by_mpirun
        )
        return self.finish(command, run_dir, meanwhile, variables or {}, timeout)

    def finish(
        self,
        command: list[str],
        run_dir: Path,
        meanwhile: Callable[["subprocess.Popen[str]", Path], object] = lambda process, run_dir: None,
        variables: Mapping[str, str] | None = None,
        timeout: float = 100,
    ) -> Done:
        """Any command to its end."""
        start = time.monotonic()
        with self.start(command, **(variables or {})) as process:
            try:
                meanwhile(process, run_dir)
                stdout, stderr = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return Done(process.returncode, stdout, stderr, run_dir, time.monotonic() - start)

    def processes(self) -> list[int]:
        return list(marked(self.mark))


def mpirun(python: Path, ranks: int) -> list[str]:
    """What a user would type before `mpibatch run`, with the mpirun of that environment."""
    program = python.parent / "mpirun"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    flags = ["--bind-to", "none", "--map-by", ":OVERSUBSCRIBE"] if "Open MPI" in version else []
    if flags:
        flags += ["--prtemca", "prte_local_tmpdir_base", tempfile.mkdtemp(dir=_scratch().name)]
    flags += ["--allow-run-as-root"] if flags and os.geteuid() == 0 else []
    return [str(program), *flags, "-n", str(ranks)]


@cache
def _scratch() -> "tempfile.TemporaryDirectory[str]":
    """For folders of mpiruns: one that is killed leaves files over which the next of its process number stumbles."""
    folder = tempfile.TemporaryDirectory(prefix="mpibatch-tests-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return folder


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.01)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """With the MPI of this environment."""
    made = Job(tmp_path)
    yield made
    try:
        none_left(made.mark)
    finally:
        for pid in made.processes():
            os.kill(pid, signal.SIGKILL)


def mpich_python() -> Path:
    """Skips without MPICH; fails where MPIBATCH_REQUIRE_MPICH=1 says that it must be there."""
    named = os.environ.get("MPIBATCH_MPICH_PYTHON")
    if not named:
        message = "MPIBATCH_MPICH_PYTHON does not name the python of an environment with the mpich wheel"
        if os.environ.get("MPIBATCH_REQUIRE_MPICH") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return Path(named)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With MPIBATCH_REQUIRE_ALL=1 a test that is skipped has failed."""
    report = yield
    if report.skipped and os.environ.get("MPIBATCH_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"MPIBATCH_REQUIRE_ALL=1, but this was skipped: {report.longrepr}"
    return report


MPIS = ["this environment's MPI", pytest.param("MPICH", marks=pytest.mark.ci)]


@pytest.fixture(params=MPIS)
def either_mpi(request: pytest.FixtureRequest, job: Job) -> Job:
    """The job under the MPI of this environment, and under MPICH."""
    if request.param == "MPICH":
        job.python = mpich_python()
    return job
