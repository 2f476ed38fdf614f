"""run.json: what was asked for, by whom, with what; written before the first rank starts, completed by rank 0.

Of environment variables it has the names alone: whoever may read the folder may read it, and values may be secrets.
They are in a file that only its owner can read.
"""

import getpass
import os
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mpibatch.config.schema import Job
from mpibatch.config.serialize import decode
from mpibatch.errors import RunDirectoryError, UsageError
from mpibatch.files import create_json, read_json, write_json
from mpibatch.placement.assign import Placement
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.fingerprints import Fingerprints

PACKAGES = ("mpibatch", "mpi4py", "numpy", "pandas", "pyarrow", "h5py")


@dataclass(frozen=True, slots=True)
class RankRecord:
    """Where a rank's executor ran; no placement: nowhere, `problem` says why, unless rank 0 only coordinated."""

    host: str
    local_rank: int
    placement: Placement | None
    problem: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All of run.json.

    command:  what the first process of the run was started with
    created:  UTC
    versions: of Python and of the packages that matter
    mpi:      what the MPI library calls itself, and `ranks`, in rank order: of the last incarnation; rank 0 adds them
    fingerprints: of what the last incarnation was made with; rank 0 adds them before anything is granted
    changes:  a sentence for each change of script or side inputs that a resume has met
    environment: which file has the values of environment variables; "" where there are none
    """

    job: Job
    command: tuple[str, ...]
    created: str
    user: str
    versions: dict[str, str]
    mpi: str = ""
    ranks: tuple[RankRecord, ...] = ()
    fingerprints: Fingerprints | None = None
    changes: tuple[str, ...] = ()
    environment: str = ""

    @staticmethod
    def new(job: Job, command: Sequence[str]) -> "RunRecord":
        """Of a run of `job` that begins now."""
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return RunRecord(
            job, tuple(command), created, user_name(), {"python": platform.python_version(), **_versions()}
        )

    @staticmethod
    def read(directory: RunDirectory) -> "RunRecord":
        """Raises UsageError where there is no run, RunDirectoryError where its record cannot be read."""
        if not directory.run_json.exists():
            raise UsageError(
                f"{directory.path} is no run directory: "
                + ("it has no run.json" if directory.path.exists() else "it does not exist")
            )
        try:
            return _read(directory, directory.run_json)
        except RunDirectoryError:
            if not directory.run_json_copy.exists():
                raise
        return _read(directory, directory.run_json_copy)

    def create(self, directory: RunDirectory) -> bool:
        """Makes the record; False where another process has made one. Raises RunDirectoryError."""
        if directory.run_json.exists():
            return False
        value = _without_values(self, directory)
        if not create_json(directory.run_json, value):
            return False
        write_json(directory.run_json_copy, value)
        return True

    def write(self, directory: RunDirectory) -> None:
        """Replaces the record, and then its copy. Raises RunDirectoryError."""
        value = _without_values(self, directory)
        write_json(directory.run_json, value)
        write_json(directory.run_json_copy, value)


def _without_values(record: RunRecord, directory: RunDirectory) -> dict[str, Any]:
    """The record as JSON, once the values of environment variables are where only their owner can read them."""
    value = asdict(record)
    config = value["job"]["config"]
    if variables := config["environment_variables"]:
        value["environment"] = record.environment or os.urandom(4).hex()  # of two that begin at once each has its own
        path = directory.environment(value["environment"])
        if not path.exists():
            write_json(path, variables, mode=0o600)
    config["environment_variables"] = sorted(variables)
    return value


def _read(directory: RunDirectory, path: Path) -> RunRecord:
    value = read_json(path)
    with suppress(KeyError, TypeError):  # what is wrong with it is said below
        key = value.get("environment")
        value["job"]["config"]["environment_variables"] = read_json(directory.environment(key)) if key else {}
    return decode(RunRecord, value, str(path))


def read_job(directory: RunDirectory) -> Job:
    """The job of a run. Raises what `RunRecord.read` raises."""
    return RunRecord.read(directory).job


def add_ranks(directory: RunDirectory, ranks: Sequence[RankRecord], mpi: str) -> None:
    """Adds the placement of every rank, in rank order, and the MPI library."""
    replace(RunRecord.read(directory), ranks=tuple(ranks), mpi=mpi).write(directory)


def command_line() -> list[str]:
    """How this process was started, for the record."""
    return list(sys.orig_argv)


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version  # slow, and only who begins a run needs it

    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def user_name() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry
        return str(os.getuid())
