"""Rank 0 from the job to the summary: the owner of the run directory, all ranks registered, a plan, the run.

    Job --> Lease --> [what is done, and whether it may be gone on with] --> RunSetup to all, executors start
        --> [plan] --> Coordinator.run --> assembly finished --> summary.json

What is in brackets takes long, and so does the import of what conducts the run (conduct.py). So executors load their
models meanwhile, except where a run that is resumed may be refused.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from mpibatch.cluster.slurm import is_requeued
from mpibatch.datasets import open_datasets
from mpibatch.errors import ExitStatus, StoppedEarly
from mpibatch.liveness.deadman import DeadmanSwitch
from mpibatch.liveness.lease import Lease, RunInUse, acquire
from mpibatch.mpi.messages import CancelRun, RunSetup
from mpibatch.mpi.rank_log import log_to
from mpibatch.mpi.registration import ALL_WORK_UP_TO, register
from mpibatch.mpi.signals import StopSignals
from mpibatch.mpi.transport import Transport
from mpibatch.mpi.worker_pool import WorkerPool
from mpibatch.reporting.console import Console, RunLog
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.resume import ResumeOptions, RunContext, nothing_to_do
from mpibatch.worker.worker import Worker

RETRY_SECONDS = 1.0


def run_coordinator(
    context: RunContext,
    transport: Transport,
    signals: StopSignals,
    deadman: DeadmanSwitch,
    console: TextIO,
) -> ExitStatus:
    """The run of `context`, as rank 0, from its beginning or from where it stopped.

    Raises MpibatchError where it cannot even begin.
    """
    directory, options = context.directory, context.options
    notify = Console(console).notify
    notify(f"run directory {directory.path}")
    lease = acquire_run(directory, options, signals, notify)
    if lease is None:
        for rank in range(1, transport.size):
            transport.send(rank, CancelRun())
        return ExitStatus.COMPLETE
    log_to(directory, 0, context.job.config.logging_level)
    try:
        return _run(context, lease, transport, signals, deadman, RunLog(directory.progress_log, notify).notify)
    finally:
        lease.release()


def acquire_run(
    directory: RunDirectory, options: ResumeOptions, signals: StopSignals, notify: Callable[[str], None]
) -> Lease | None:
    """Makes this process the owner; None where nothing is left to do.

    Slurm may have started this job again though its last incarnation lives, on a node that Slurm cannot reach. If
    it reaches the run directory it may complete the run; it is waited for. Raises MpibatchError.
    """
    announce = notify
    while True:
        if reason := nothing_to_do(directory, options):
            notify(reason)
            return None
        try:
            lease = acquire(directory.path, notify=announce)
        except RunInUse as error:
            if not is_requeued(os.environ):
                raise
            if signals.drain():
                raise StoppedEarly(f"{error} That was waited for until a signal came.") from error
            announce(f"{error} That is waited for, since this job was started again by Slurm.")
            announce = _ignore
            time.sleep(RETRY_SECONDS)
            continue
        if not nothing_to_do(directory, options):
            return lease
        lease.release()  # the last owner has completed the run just before it released its lease


def _ignore(text: str) -> None:
    """What was said before."""


def _run(
    context: RunContext,
    lease: Lease,
    transport: Transport,
    signals: StopSignals,
    deadman: DeadmanSwitch,
    notify: Callable[[str], None],
) -> ExitStatus:
    started = time.monotonic()
    config, directory = context.job.config, context.directory
    datasets = open_datasets(context.job)
    done = None
    if directory.is_planned:
        from mpibatch.mpi.beginning import resume

        done = resume(context, datasets)
    works = config.coordinator_works if config.coordinator_works is not None else transport.size <= ALL_WORK_UP_TO
    setup = RunSetup(context.job, str(directory.path), works or transport.size == 1, context.options.accept_changed)
    for rank in range(1, transport.size):
        transport.send(rank, setup)
    registered, worker = register(setup, transport, deadman)
    members = [*([0] if setup.coordinator_works else []), *range(1, transport.size)]
    pool = WorkerPool(transport, members, worker, deadman, config.rank_timeout)
    with _ended_with_the_run(worker), pool.heartbeats():
        from mpibatch.mpi.beginning import plan
        from mpibatch.mpi.conduct import conduct

        begun = done or plan(context, datasets, pool.while_planning)
        return conduct(context, lease, begun, datasets, pool, registered, signals, notify, started)


@contextmanager
def _ended_with_the_run(worker: Worker | None) -> Iterator[None]:
    """Rank 0's own executor does not outlive a run that cannot begin."""
    try:
        yield
    except BaseException:
        if worker is not None:
            worker.kill()
        raise
