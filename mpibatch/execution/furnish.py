"""What an executor finds when it starts: its environment, its files, its descriptors' spec."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mpibatch.config.schema import InputType, Job
from mpibatch.execution import staging
from mpibatch.execution.executor import Descriptors, Executor
from mpibatch.execution.spec import ExecutorSpec
from mpibatch.placement.place import Placement
from mpibatch.placement.place import environment as placed
from mpibatch.placement.variables import executor_environment
from mpibatch.runs.directory import RunDirectory


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a rank sits. local_rank: among the ranks of its host, from 0."""

    rank: int
    local_rank: int
    host: str
    placement: Placement


def starter(
    job: Job, frozen: tuple[bytes, ...], directory: RunDirectory, seat: Seat, inherited: Mapping[str, str]
) -> Callable[[], Executor]:
    """A function that starts one executor after another for this rank; log folders are made here. Raises OSError."""
    paths = {
        stream: directory.rank_log(stream, seat.host, seat.rank)
        for stream in ("user/stdout", "user/stderr", "user/entry_script_log")
    }
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    environment = environment_of(job, directory, seat, inherited)
    copies = staging.staged(job, staging_folder(job, directory, inherited))
    arguments = staging.substituted(job.arguments, {side.name: side.copy for side in copies})
    # files behind URLs are copied to the executor's temporary folder, and one that is killed deletes nothing itself
    scratch = any(input.type is InputType.FILES and "://" in path for input in job.inputs for path in input.paths)

    def describe(descriptors: Descriptors) -> ExecutorSpec:
        return ExecutorSpec(
            job=job,
            frozen=frozen,
            arguments=arguments,
            rank=seat.rank,
            host=seat.host,
            cores=seat.placement.cores,
            staged=copies,
            script_log=os.fspath(paths["user/entry_script_log"]),
            queue=descriptors.queue,
            results=descriptors.results,
            slot=descriptors.slot,
        )

    return lambda: Executor(describe, environment, paths["user/stdout"], paths["user/stderr"], scratch)


def staging_folder(job: Job, directory: RunDirectory, inherited: Mapping[str, str]) -> Path:
    """Where side inputs are copied to on this node."""
    return staging.folder_of(directory.path, {**inherited, **job.config.environment_variables})


def environment_of(job: Job, directory: RunDirectory, seat: Seat, inherited: Mapping[str, str]) -> dict[str, str]:
    """The user's environment less the launcher's variables, which frameworks would take for their own, plus ours."""
    user = {**executor_environment(inherited), **job.config.environment_variables}
    return {
        **user,
        **placed(seat.placement, user),
        "MPIBATCH_RANK": str(seat.rank),
        "MPIBATCH_LOCAL_RANK": str(seat.local_rank),
        "MPIBATCH_OUTPUT_DIR": os.fspath(directory.output_files),
        "AZUREML_BI_OUTPUT_PATH": os.fspath(directory.output_files),
    }
