"""A rank's placement and worker: the ranks of a host exchange what they see, and each starts its executor.

RunSetup --> NodeResources of every rank of this host --> Placement (placement/assign.py) --> Worker
                                                                                           --> Registered, to rank 0
"""

import os
from collections.abc import Callable
from pathlib import Path

from mpibatch.errors import UsageError
from mpibatch.liveness import timers
from mpibatch.liveness.deadman import DeadmanSwitch
from mpibatch.mpi.messages import Registered, RunSetup
from mpibatch.mpi.rank_log import log_to
from mpibatch.mpi.transport import Transport
from mpibatch.output import open_encoder
from mpibatch.placement.assign import Shares, assign
from mpibatch.placement.layout import resources_of
from mpibatch.runs.directory import RunDirectory
from mpibatch.worker.log_limit import LogLimit
from mpibatch.worker.resources import NodeSampler
from mpibatch.worker.settings import WorkerSettings
from mpibatch.worker.spawn import RankInfo, executor_factory, script_logs
from mpibatch.worker.upkeep import start_upkeep
from mpibatch.worker.worker import Worker

ALL_WORK_UP_TO = 32  # ranks: with more, rank 0 has enough to do


def register(setup: RunSetup, transport: Transport, deadman: DeadmanSwitch) -> tuple[Registered, Worker | None]:
    """The placement of this rank's executor, and the worker that owns it; the ranks of a host call this together.

    No worker where there is no place for one (`Registered.problem` says why) or rank 0 does not work.
    """
    directory = RunDirectory(Path(setup.directory))
    host = os.uname().nodename
    works = transport.rank > 0 or setup.coordinator_works
    resources = resources_of(setup.job.config, os.environ) if works else None
    with deadman.armed(timers.startup_timeout(transport.size, os.environ), "startup_timeout"):
        _, gathered = transport.allgather_on_node((transport.rank, resources))
    # Only now something is written: who waits for a file system at its start is waited for by nobody
    log_to(directory, transport.rank, setup.job.config.logging_level)
    workers = sorted((rank, resources) for rank, resources in gathered if resources is not None)
    if not works:
        return Registered(host, 0, None), None
    local_rank = [rank for rank, _ in workers].index(transport.rank)
    config = setup.job.config
    duties: list[Callable[[], None]] = [NodeSampler(directory, host)] if local_rank == 0 else []
    try:
        placement = assign([resources for _, resources in workers], Shares.of(config))[local_rank]
        rank_info = RankInfo(transport.rank, local_rank, host, placement)
        worker = _start_worker(setup, directory, rank_info)
    except (UsageError, OSError) as error:
        return Registered(host, local_rank, None, str(error)), None
    start_upkeep([*duties, LogLimit(list(script_logs(directory, rank_info).values()))])
    return Registered(host, local_rank, placement), worker


def _start_worker(setup: RunSetup, directory: RunDirectory, rank_info: RankInfo) -> Worker:
    config = setup.job.config
    settings = WorkerSettings.from_config(config, rank_info.rank, rank_info.host)
    encoder = open_encoder(config.append_row_file_name, config.append_row_format, config.output_action)
    return Worker(
        settings,
        executor_factory(setup.job, directory, rank_info, os.environ, accept_changes=setup.accept_changes),
        encoder,
    )
