"""`mpibatch submit`: from a checked job and what the command line asks for to a job in Slurm's queue.

Job + options --draft--> Submission --slurm.submit--> job id --concern--> will it start? --follow--> how it ended
"""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mpibatch.config.schema import Device, Job
from mpibatch.errors import ExitStatus, UsageError
from mpibatch.launching import slurm
from mpibatch.launching.batch_script import NOTICE, Submission
from mpibatch.placement.allocation import Call, call
from mpibatch.runs import record
from mpibatch.runs.check import check
from mpibatch.runs.directory import RunDirectory, fresh_name, point_latest_at

AFTER_GRACE = 60  # seconds from the end of `grace` to the time limit: Slurm's signal can be late, and so can a disk


def draft(job: Job, sets: tuple[str, ...], run_dir: Path | None, options: Mapping[str, Any]) -> Submission:
    """What to submit. options: those fields of Submission that the command line has; None where it says nothing.

    Raises JobFileError with all problems of the job, UsageError where the job cannot run as asked.
    """
    check(job, job.file)
    directory = RunDirectory((run_dir or Path(job.output) / fresh_name()).absolute())
    if directory.run_json.exists():
        if record.is_complete(directory):
            raise UsageError(f"{directory.path}: this run is complete; there is nothing to submit")
        record.merged(directory, job)
    config = job.config
    given = {name: value for name, value in options.items() if value is not None}
    if "prefix" in given:
        given["prefix"] = words("--prefix", given["prefix"])
    submission = Submission(
        job_file=job.file,
        run_dir=str(directory.path),
        name=job.name,
        processes_per_node=config.process_count_per_node,
        processes_per_gpu=config.processes_per_gpu,
        notice=max(NOTICE, int(config.grace) + AFTER_GRACE),
        sets=sets,
        **{"nodes": config.node_count, **given},
    )
    tasks, room = submission.tasks_per_node, submission.gpus_per_node * config.processes_per_gpu
    if tasks is not None and 0 < room < tasks and config.device is not Device.CPU:
        raise UsageError(
            f"{tasks} executors on each node for {room // config.processes_per_gpu} GPUs, with processes_per_gpu "
            f"{config.processes_per_gpu}: ask for more GPUs, or set process_count_per_node to {room} or to auto"
        )
    return submission


def words(label: str, text: str) -> tuple[str, ...]:
    """The words of an option that holds several, as a shell would cut them. Raises UsageError."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{label} {text!r}: {error}") from None


def hand_over(submission: Submission, wait: bool, report: Callable[[str], None], call: Call = call) -> ExitStatus:
    """Submits; `report` gets the job's id and the run directory, and with `wait` what becomes of them.

    Raises UsageError, and leaves neither a job nor a directory, where Slurm refuses it or could never start it.
    """
    job = slurm.submit(submission, call)
    trouble = slurm.concern(job, call)
    if trouble is not None:
        slurm.withdraw(job, submission, call)
        raise UsageError(trouble)
    directory = Path(submission.run_dir)
    point_latest_at(directory)
    report(f"job {job}")
    report(f"run directory {directory}")
    if not wait:
        return ExitStatus.COMPLETE
    return slurm.follow(job, directory, report=report, call=call)
