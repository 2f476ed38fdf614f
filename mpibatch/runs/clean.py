"""Dropping what only a resume, or another try of what failed, would need."""

from pathlib import Path

from mpibatch.runs.directory import RunDirectory, cannot_write
from mpibatch.runs.lease import acquire
from mpibatch.runs.record import is_complete, job_of


def clean(directory: RunDirectory) -> str:
    """Drops the results logs and the raw events; says what was done, in words.

    Raises UsageError where the directory is no run's or is in use, RunDirectoryError where nothing can be removed.
    """
    job_of(directory)
    lease = acquire(directory)
    try:
        freed = sum(_drop(path) for path in _dispensable(directory))
        complete = is_complete(directory)
    finally:
        lease.release()
    told = f"{freed / 1e6:.1f} MB dropped from {directory.path}"
    return told if complete else f"{told}; the run was not complete: a resume now begins from the start"


def _dispensable(directory: RunDirectory) -> list[Path]:
    torn = [path for path in directory.path.glob(".*") if path.is_file() and not path.name.startswith(".owner")]
    return [*directory.path.glob("results.*.log"), *torn, directory.events]


def _drop(path: Path) -> int:
    """Its size; 0 where it is not there."""
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise cannot_write(path, error) from error
    return size
