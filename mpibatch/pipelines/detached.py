"""Starts a run that goes on without its submitter, and ends one from anywhere.

start: python -m mpibatch.pipelines RUN_DIR, in a session of its own, its words in logs/pipeline.txt
       or a job of Slurm that runs `mpibatch run pipeline.yaml --run-dir RUN_DIR`
cancel: the file `cancel` in the run directory, which its runner looks for, on whatever machine
"""

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mpibatch.cluster.slurm import run
from mpibatch.errors import ExitStatus, RunDirectoryError
from mpibatch.launching import slurm_job
from mpibatch.launching.batch_script import Submission
from mpibatch.pipelines.directory import PipelineDirectory
from mpibatch.pipelines.status import PipelineState, PipelineStatus, read_status, write_status


def start(directory: PipelineDirectory, env: Mapping[str, str]) -> int:
    """Starts the runner here; its process number. Raises RunDirectoryError."""
    command = [sys.executable, "-P", "-m", "mpibatch.pipelines", os.fspath(directory.path)]
    own = str(Path(__file__).parents[2])
    path = [own, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files: list[Any] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.fspath(directory.log), flags, 0o666),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        pid = os.posix_spawn(
            sys.executable,
            command,
            {**env, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))},
            file_actions=files,
            setsid=True,
        )
    except OSError as error:
        raise RunDirectoryError(f"cannot start the runner of {directory.path}: {error}") from error
    threading.Thread(target=_reap, args=(pid,), name="mpibatch-reap", daemon=True).start()
    return pid


def submit_to_slurm(submission: Submission, directory: PipelineDirectory) -> int:
    """The job's number, which is kept for `cancel`. Raises UsageError where Slurm refuses it."""
    job = slurm_job.submit(submission)
    (directory.path / "slurm_job").write_text(f"{job}\n", encoding="ascii")
    return job


def cancel(directory: PipelineDirectory) -> None:
    """Asks the runner to end; a run that nobody runs is cancelled at once."""
    status = read_status(directory)
    if status.state in (PipelineState.COMPLETED, PipelineState.FAILED, PipelineState.CANCELED):
        return
    directory.cancel.touch()
    if status.state is PipelineState.STOPPED:
        end(directory, PipelineState.CANCELED, "it was cancelled", ExitStatus.ABORTED)
    with suppress(OSError, ValueError):
        job = int((directory.path / "slurm_job").read_text(encoding="ascii"))
        if status.state is PipelineState.WAITING and slurm_job.ask_state(job).state == "PENDING":
            run(["scancel", str(job)])
            end(directory, PipelineState.CANCELED, "it was cancelled before it began", ExitStatus.ABORTED)


def end(directory: PipelineDirectory, state: PipelineState, reason: str, exit_status: ExitStatus) -> None:
    """Of a run that no runner ends."""
    known = read_status(directory)
    write_status(directory, PipelineStatus(known.name, state, reason, known.steps, known.began, 0, int(exit_status)))


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
