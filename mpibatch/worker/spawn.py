"""What an executor finds when it starts: its environment, its files, its descriptors' spec."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mpibatch.cluster.environment import without_launcher_variables
from mpibatch.config.choices import InputType
from mpibatch.config.schema import Job
from mpibatch.config.units import parse_memory
from mpibatch.executor import staging
from mpibatch.executor.spec import ExecutorSpec
from mpibatch.placement.assign import Placement, placement_environment
from mpibatch.runs.directory import RunDirectory
from mpibatch.worker.cgroup import ExecutorCgroup, find_delegation, make_cgroup, remove_stale
from mpibatch.worker.executor_process import ExecutorProcess, InheritedFds
from mpibatch.workspace.home import HOME, find_home

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RankInfo:
    """Where a rank sits. local_rank: among the ranks of its host, from 0."""

    rank: int
    local_rank: int
    host: str
    placement: Placement


def executor_factory(
    job: Job,
    directory: RunDirectory,
    rank_info: RankInfo,
    inherited: Mapping[str, str],
    accept_changes: bool = False,
) -> Callable[[], ExecutorProcess]:
    """A function that starts one executor after another for this rank, or raises OSError."""
    paths = script_logs(directory, rank_info)
    environment = executor_environment(job, directory, rank_info, inherited)
    copies = staging.staged(job, staging_folder(job, directory, inherited))
    arguments = staging.substitute(job.arguments, {side.name: side.copy for side in copies})
    # files behind URLs, and in archives, are copied to the executor's temporary folder, and one that is killed deletes
    # nothing itself
    private_tmpdir = any(
        input.type is InputType.TAR or (input.type is InputType.FILES and any("://" in path for path in input.paths))
        for input in job.inputs
    )

    new_cgroup = _cgroup_factory(parse_memory(job.config.memory_per_process))

    def make_spec(fds: InheritedFds, cgroup: ExecutorCgroup | None) -> ExecutorSpec:
        return ExecutorSpec(
            job=job,
            dataset_states=os.fspath(directory.dataset_states),
            arguments=arguments,
            rank=rank_info.rank,
            host=rank_info.host,
            cores=rank_info.placement.cores,
            staged=copies,
            oom_kills=os.fspath(cgroup.oom_kills) if cgroup is not None else "",
            accept_changes=accept_changes,
            script_log=os.fspath(paths["user/entry_script_log"]),
            queue=fds.queue,
            results=fds.results,
            status_block=fds.status_block,
        )

    def start() -> ExecutorProcess:
        for path in paths.values():
            directory.make_parent(path)
        stdout, stderr = paths["user/stdout"], paths["user/stderr"]
        cgroup = new_cgroup()
        spec = partial(make_spec, cgroup=cgroup)
        return ExecutorProcess(spec, environment, stdout, stderr, private_tmpdir, cgroup)

    return start


def _cgroup_factory(memory_per_process: int | None) -> Callable[[], ExecutorCgroup | None]:
    """Makes a cgroup for each executor, where there is a limit and the site delegates one."""
    if memory_per_process is None:
        return lambda: None
    delegation = find_delegation()
    if delegation.parent is None or delegation.room:
        logger.info("executors get no cgroups of their own, memory_per_process is watched only: %s", delegation.why)
    remove_stale(delegation)
    return lambda: make_cgroup(delegation, memory_per_process)


def script_logs(directory: RunDirectory, rank_info: RankInfo) -> dict[str, Path]:
    """The files that a rank's script writes to, by stream."""
    streams = ("user/stdout", "user/stderr", "user/entry_script_log")
    return {stream: directory.rank_log(stream, rank_info.host, rank_info.rank) for stream in streams}


def staging_folder(job: Job, directory: RunDirectory, inherited: Mapping[str, str]) -> Path:
    """Where side inputs are copied to on this node."""
    return staging.staging_dir(directory.path, {**inherited, **job.config.environment_variables})


def executor_environment(
    job: Job, directory: RunDirectory, rank_info: RankInfo, inherited: Mapping[str, str]
) -> dict[str, str]:
    """The user's environment less the launcher's variables, which frameworks would take for their own, plus ours."""
    user = {**without_launcher_variables(inherited), **job.config.environment_variables}
    home = find_home(user)
    return {
        **user,
        **placement_environment(rank_info.placement, user),
        "MPIBATCH_RANK": str(rank_info.rank),
        "MPIBATCH_LOCAL_RANK": str(rank_info.local_rank),
        "MPIBATCH_OUTPUT_DIR": os.fspath(directory.outputs),
        "AZUREML_BI_OUTPUT_PATH": os.fspath(directory.outputs),
        "MPIBATCH_RUN_DIR": os.fspath(directory.path),
        HOME: os.fspath(home),
        "AZUREML_MODEL_DIR": os.fspath(_model_folder(job, home)),
    }


def _model_folder(job: Job, home: Path) -> Path:
    """Where scripts look for their model: the folder of the one that the job names, else that of all."""
    named = [side.path for side in job.side_inputs if side.model is not None]
    return Path(named[0]).parent if len(named) == 1 else home / "models"
