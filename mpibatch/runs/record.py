"""run.json: what was asked for, by whom, with what; written before the first rank starts, completed by rank 0."""

import difflib
import getpass
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mpibatch.config.schema import Job
from mpibatch.config.serialize import from_json, to_json
from mpibatch.errors import UsageError
from mpibatch.runs import directory as directories
from mpibatch.runs.directory import RunDirectory, read_json, write_json
from mpibatch.runs.lease import refuse_if_owned
from mpibatch.runs.status import State

CHANGEABLE = (
    "error_threshold", "allowed_failed_count", "allowed_failed_percent", "node_count", "process_count_per_node",
    "processes_per_gpu", "coordinator_works", "device", "run_invocation_timeout", "load_timeout", "init_timeout",
    "run_max_try", "isolate_failures", "max_mini_batches_per_executor", "grace", "rank_timeout", "logging_level",
)  # fmt: skip
"""Settings that do not change what a row looks like."""

PACKAGES = ("mpibatch", "mpi4py", "numpy", "pandas", "pyarrow", "h5py")


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to go on with a run that has begun before.

    retry_failed:   mini-batches with failed items are run again
    accept_changed: inputs that changed since the plan was made are no reason to refuse
    """

    retry_failed: bool = False
    accept_changed: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A run directory with its job, ready to be led."""

    job: Job
    directory: RunDirectory
    wishes: Wishes


def begin_or_go_on(job: Job, run_dir: Path | None) -> tuple[Job, RunDirectory]:
    """A new run of `job`, or the one at `run_dir` that has begun. Raises RunDirectoryError, UsageError."""
    if run_dir is not None and (directory := RunDirectory(run_dir.absolute())).run_json.exists():
        return go_on(directory, job), directory
    return job, begin(job, run_dir, command_line())


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
    """The job of a run. Raises UsageError where there is none, RunDirectoryError where it cannot be read."""
    if not directory.run_json.exists():
        raise UsageError(
            f"{directory.path} is no run directory: "
            + ("it has no run.json" if directory.path.exists() else "it does not exist")
        )
    return from_json(json.dumps(read_json(directory.run_json).get("job")))


def is_complete(directory: RunDirectory) -> bool:
    """Whether the run has come to its end. Raises RunDirectoryError where its summary cannot be read."""
    return directory.summary.exists() and read_json(directory.summary).get("status") == State.COMPLETED


def nothing_left(directory: RunDirectory, wishes: Wishes) -> str:
    """Why a run need not be gone on with, in words; "" where there is something to do.

    Raises UsageError where failed mini-batches cannot be tried again, RunDirectoryError where nothing can be read.
    """
    if not is_complete(directory):
        return ""
    summary = read_json(directory.summary)
    dropped = not any(directory.path.glob("results.*.log"))
    if summary["output"] is not None and not Path(summary["output"]).exists():
        if not dropped:
            return ""
        raise UsageError(
            f"{directory.path} is complete, but its output {summary['output']} is no longer there, and neither are the "
            "results from which it was made. Start a new run."
        )
    if not wishes.retry_failed:
        return "this run is complete; there is nothing left to do"
    if not summary["items"]["failed"]:
        return "this run is complete, and nothing has failed that could be tried again"
    if dropped:
        raise UsageError(
            f"the results log of {directory.path} was dropped by `mpibatch clean`: what succeeded cannot be put "
            "together with what would be tried again. Start a new run."
        )
    return ""


def go_on(directory: RunDirectory, job: Job) -> Job:
    """`merged`, and run.json is updated."""
    now = merged(directory, job)
    if now != job_of(directory):
        _update(directory, now)
    return now


def merged(directory: RunDirectory, job: Job) -> Job:
    """The recorded job with the settings of `job` that may change between incarnations.

    Raises UsageError where others differ: rows made with different settings would stand side by side.
    """
    before = job_of(directory)
    changed = {name: getattr(job.config, name) for name in CHANGEABLE}
    now = replace(before, config=replace(before.config, **changed))
    alike = replace(job, output=now.output, allow_reuse=now.allow_reuse, file=now.file)
    if alike != now:
        raise UsageError(
            f"{directory.path} was begun with other settings ({', '.join(_differences(alike, now))}), and rows made "
            "with both would stand side by side. Only these may change in a run that goes on: " + ", ".join(CHANGEABLE)
        )
    return now


def change(directory: RunDirectory, sets: Sequence[str]) -> Job:
    """The recorded job with `--set NAME=VALUE` of a resume applied; run.json is updated. Raises UsageError."""
    job = job_of(directory)
    settings = {field.name: field.type for field in fields(job.config)}
    changed: dict[str, Any] = {}
    for text in sets:
        name, _, value = text.partition("=")
        if name not in CHANGEABLE:
            near = difflib.get_close_matches(name, CHANGEABLE, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"--set {text!r}: a resume can change only {', '.join(CHANGEABLE)}.{hint}")
        changed[name] = _parsed(text, value, str(settings[name]), getattr(job.config, name))
    now = replace(job, config=replace(job.config, **changed))
    if changed:
        _update(directory, now)
    return now


def _parsed(text: str, value: str, kind: str, before: Any) -> Any:
    """A setting from the command line, of the type that the job file's has."""
    try:
        if "bool" in kind:
            return {"true": True, "false": False, **({"auto": None} if "None" in kind else {})}[value.lower()]
        if "int" in kind:
            number = None if value == "auto" and "None" in kind else int(value)
            if number is not None and number < -1:
                raise ValueError
            return number
        if "float" in kind:
            seconds = float(value)
            if not 0 <= seconds < float("inf"):
                raise ValueError
            return seconds
        return type(before)(value)
    except (ValueError, KeyError):
        raise UsageError(f"--set {text!r}: {value!r} is no {kind} that this setting can have") from None


def _differences(one: Job, other: Job) -> list[str]:
    names = [field.name for field in fields(Job) if field.name != "config"]
    found = [name for name in names if getattr(one, name) != getattr(other, name)]
    settings = [field.name for field in fields(one.config)]
    return found + [name for name in settings if getattr(one.config, name) != getattr(other.config, name)]


def _update(directory: RunDirectory, job: Job) -> None:
    refuse_if_owned(directory)
    record = read_json(directory.run_json)
    record["job"] = json.loads(to_json(job))
    write_json(directory.run_json, record)


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
