"""Settings that the job file knows and nothing behind it does yet: refused, since ignoring them would mislead.

An entry goes when what it names is built; with the last one this file goes.
"""

from collections.abc import Iterator

from mpibatch.config.schema import Job, Stage
from mpibatch.errors import JobFileError


def refuse_unbuilt(job: Job, shown: str) -> Job:
    """The job itself. Raises JobFileError for `shown`, the job file as the user wrote it."""
    problems = [f"{what} is not built yet" for what in _unbuilt(job)]
    if problems:
        raise JobFileError(shown, problems)
    return job


def _unbuilt(job: Job) -> Iterator[str]:
    if job.config.mini_batch_count is not None:
        yield "parallel_run_config.mini_batch_count"
    for side_input in job.side_inputs:
        if side_input.stage is Stage.NODE:
            yield f"side_inputs.{side_input.name}: stage: node"
