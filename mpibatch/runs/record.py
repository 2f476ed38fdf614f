"""run.json: what was asked for, by whom, with what; written before the first rank starts, completed by rank 0."""

import getpass
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mpibatch.config.schema import Job
from mpibatch.config.serialize import from_json, to_json
from mpibatch.runs import directory as directories
from mpibatch.runs.directory import RunDirectory, read_json, write_json

PACKAGES = ("mpibatch", "mpi4py", "numpy", "pandas", "pyarrow", "h5py")


def begin(job: Job, run_dir: Path | None, command: Sequence[str]) -> RunDirectory:
    """A new run directory for `job`, at `run_dir` or below job.output, with its run.json. Raises RunDirectoryError."""
    directory = directories.create(Path(job.output)) if run_dir is None else directories.create_at(run_dir)
    write_json(
        directory.run_json,
        {
            "job": json.loads(to_json(job)),
            "command": list(command),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "user": _user(),
            "versions": {"python": platform.python_version(), **_versions()},
            "ranks": [],
        },
    )
    return directory


def job_of(directory: RunDirectory) -> Job:
    """The job of a run. Raises RunDirectoryError."""
    return from_json(json.dumps(read_json(directory.run_json).get("job")))


def complete(directory: RunDirectory, ranks: Sequence[Any], mpi: str) -> None:
    """Adds the placement of every rank (dataclasses, in rank order) and the MPI library."""
    record = read_json(directory.run_json)
    record["ranks"] = [asdict(rank) for rank in ranks]
    record["versions"]["mpi"] = mpi
    write_json(directory.run_json, record)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry
        return str(os.getuid())


def command_line() -> list[str]:
    """How this process was started, for the record."""
    return list(sys.orig_argv)
