"""Runs whose ranks are altered before they begin: what a part of mpibatch costs is told from a run without it.

python -m MODULE rank ALTERATION RUN_DIRECTORY     what mpirun starts: MODULE calls `be_a_rank`
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.job import ENVIRONMENT, BenchmarkJob, Run
from mpibatch.config.load import load_job
from mpibatch.launching.mpi_installation import find_mpi
from mpibatch.launching.mpirun import mpirun_command
from mpibatch.launching.network import network_flags
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.resume import ResumeOptions, RunContext, create_run
from mpibatch.runs.run_record import read_job


def run_altered(job: BenchmarkJob, ranks: int, module: str, alteration: str) -> Run:
    """`module` alters its ranks as `alteration` says."""
    path = job.file.parent / f"run-{time.monotonic_ns()}"
    create_run(load_job(job.file), path, sys.argv)
    mpi = find_mpi(os.environ)
    mpirun = mpirun_command(mpi, ranks, network=network_flags(mpi, (), os.environ))
    command = [*mpirun, sys.executable, "-m", module, "rank", alteration, str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    return job.completed(RunDirectory(path))


def be_a_rank(alterations: dict[str, Callable[[], None]]) -> None:
    """Where this process was started as a rank it is one, altered, and ends; otherwise nothing happens."""
    if sys.argv[1:2] != ["rank"]:
        return
    from mpibatch.liveness.deadman import DeadmanSwitch
    from mpibatch.mpi.rank import run_rank

    alterations[sys.argv[2]]()
    directory = RunDirectory(Path(sys.argv[3]))

    def context() -> RunContext:
        return RunContext(read_job(directory), directory, ResumeOptions(), watched=True)

    sys.exit(run_rank(context, os.environ, DeadmanSwitch.start(60)))


def nothing() -> None:
    """No alteration."""
