"""Dropping what only a resume, or another try of what failed, would need."""

from pathlib import Path

from mpibatch.files import write_error
from mpibatch.liveness.lease import acquire
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.run_record import read_job
from mpibatch.runs.summary import is_complete


def clean(directory: RunDirectory) -> str:
    """Drops the results logs and the raw events; says what was done, in words.

    Raises UsageError where the directory is no run's or is in use, RunDirectoryError where nothing can be removed.
    """
    read_job(directory)
    lease = acquire(directory.path)
    try:
        freed = sum(_drop(path) for path in _dispensable(directory))
        complete = is_complete(directory)
    finally:
        lease.release()
    text = f"{freed / 1e6:.1f} MB dropped from {directory.path}"
    return text if complete else f"{text}; the run was not complete: a resume now begins from the start"


def _dispensable(directory: RunDirectory) -> list[Path]:
    kept = (directory.run_json_copy, directory.plan_copy, *directory.path.glob(".environment.*.json"))
    hidden = (path for path in directory.path.glob(".*") if path.is_file() and path not in kept)
    torn = [path for path in hidden if not path.name.startswith(".owner")]
    indexes = directory.path.glob("results.*.index")
    return [*directory.results_logs().values(), *indexes, *torn, directory.group_footers, directory.events]


def _drop(path: Path) -> int:
    """Its size; 0 where it is not there."""
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise write_error(path, error) from error
    return size
