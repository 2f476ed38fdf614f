"""The last run of a job, where it stopped: whoever starts the job anew may not know of it.

Imports little, since every `mpibatch run` asks.
"""

import contextlib
import os
import shlex
from pathlib import Path

from mpibatch.config.problems import escape
from mpibatch.config.schema import Job
from mpibatch.errors import MpibatchError
from mpibatch.liveness.lease import is_owned
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.run_record import read_job
from mpibatch.runs.summary import RunState, Summary

RUNS_LOOKED_AT = 20


def stopped_run(job: Job) -> str:
    """A sentence about the last run of the same job file in the job's `output`, if it stopped or was killed; else "".

    Only the newest RUNS_LOOKED_AT run directories are looked at: a folder may hold thousands.
    """
    try:
        names = sorted((entry.name for entry in os.scandir(job.output) if not entry.is_symlink()), reverse=True)
    except OSError:
        return ""
    for name in names[:RUNS_LOOKED_AT]:
        directory = RunDirectory(Path(job.output).absolute() / name)
        with contextlib.suppress(MpibatchError):
            if read_job(directory).file == job.file:
                return _sentence(directory)
    return ""


def _sentence(directory: RunDirectory) -> str:
    end, latest = Summary.read(directory), Summary.read_status(directory)
    if is_owned(directory.path) or latest is None or (end is not None and end.status is not RunState.STOPPED):
        return ""
    return (
        f"the last run of this job file stopped before its end, {latest.progress_line}: `mpibatch resume "
        f"{escape(shlex.quote(str(directory.path)))}` would go on with it. This is a new run"
    )
