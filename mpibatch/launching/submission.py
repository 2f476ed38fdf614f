"""`mpibatch submit`: from a checked job and what the command line asks for to a job in Slurm's queue.

Job + options --draft--> Submission --slurm_job.submit--> job id --concern--> will it start? --follow--> how it ended
"""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mpibatch.cluster.slurm import Runner, run
from mpibatch.config.choices import Device
from mpibatch.config.schema import Job, RunConfig
from mpibatch.errors import ExitStatus, UsageError
from mpibatch.launching import slurm_job
from mpibatch.launching.batch_script import Submission
from mpibatch.liveness.timers import NOTICE_AFTER_GRACE_SECONDS, SLURM_NOTICE_SECONDS
from mpibatch.placement.gpu_assignment import uneven_message
from mpibatch.planning.check import check
from mpibatch.runs.directory import RunDirectory, new_run_name, update_latest
from mpibatch.runs.resume import merge_settings
from mpibatch.runs.summary import is_complete


def build_submission(job: Job, sets: tuple[str, ...], run_dir: Path | None, options: Mapping[str, Any]) -> Submission:
    """What to submit. options: those fields of Submission that the command line has; None where it says nothing.

    Raises JobFileError with all problems of the job, UsageError where the job cannot run as asked.
    """
    check(job, job.file)
    directory = RunDirectory((run_dir or Path(job.output) / new_run_name()).absolute())
    if directory.run_json.exists():
        if is_complete(directory):
            raise UsageError(f"{directory.path}: this run is complete; there is nothing to submit")
        merge_settings(directory, job)
    config = job.config
    given = {name: value for name, value in options.items() if value is not None}
    if "prefix" in given:
        given["prefix"] = split_words("--prefix", given["prefix"])
    submission = Submission(
        job_file=job.file,
        run_dir=str(directory.path),
        name=job.name,
        processes_per_node=config.process_count_per_node,
        processes_per_gpu=config.processes_per_gpu,
        gpus_per_process=config.gpus_per_process or 1,
        cpus_per_process=config.cpus_per_process,
        notice=max(SLURM_NOTICE_SECONDS, int(config.grace) + NOTICE_AFTER_GRACE_SECONDS),
        sets=sets,
        **{"nodes": config.node_count, "gpus": gpus_needed(config), **given},
    )
    ensure_gpus_suffice(submission, config.device)
    return submission


def gpus_needed(config: RunConfig) -> str | None:
    """What to ask Slurm for where the command line does not say: GPUs of a node, if the job says that it wants some."""
    tasks = config.process_count_per_node
    wanted = config.device is Device.GPU or (config.device is Device.AUTO and config.gpus_per_process is not None)
    if not wanted or tasks is None:
        return None  # "auto" takes whole nodes
    return str(-(-tasks // config.processes_per_gpu) * (config.gpus_per_process or 1))


def ensure_gpus_suffice(submission: Submission, device: Device) -> None:
    """Raises UsageError, with the numbers that would fit, where the executors of a node want more GPUs than it has."""
    gpus, each, shared = submission.gpus_per_node, submission.gpus_per_process, submission.processes_per_gpu
    if not gpus or device is Device.CPU:
        return
    if each > gpus or (submission.processes_per_node is None and gpus % each):
        raise UsageError(uneven_message(gpus, each))
    tasks, capacity = submission.tasks_per_node, gpus // each * shared
    if tasks is not None and tasks > capacity:
        of_several = f" of {each} GPUs each" if each > 1 else ""
        raise UsageError(
            f"{tasks} executors{of_several} on each node for {gpus} GPUs, with processes_per_gpu {shared}: ask for "
            f"more GPUs, or set process_count_per_node to {capacity} or to auto"
        )


def split_words(label: str, text: str) -> tuple[str, ...]:
    """The words of an option that holds several, as a shell would cut them. Raises UsageError."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{label} {text!r}: {error}") from None


def submit(
    submission: Submission,
    followed: slurm_job.Followed | None,
    report: Callable[[str], None],
    run: Runner = run,
) -> ExitStatus:
    """Submits; `report` gets the job's id and the run directory, and what becomes of them.

    followed: its run, to be waited for; None to return at once
    Raises UsageError, and leaves neither a job nor a directory, where Slurm refuses it or could never start it.
    """
    job = slurm_job.submit(submission, run)
    reason = slurm_job.why_never_starts(job, run)
    if reason is not None:
        slurm_job.cancel(job, submission, run)
        raise UsageError(reason)
    directory = Path(submission.run_dir)
    update_latest(directory)
    report(f"job {job}")
    report(f"run directory {directory}")
    if followed is None:
        return ExitStatus.COMPLETE
    return slurm_job.follow(job, followed, report=report, run=run)
