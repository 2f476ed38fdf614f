"""Rank 0 from the job to the summary: plan, all ranks registered, the coordinator's loop, output closed.

Job --datasets--> Plan --> plan.parquet, RunSetup to all --> Coordinator.run --> assembly finished --> summary.json
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from mpibatch.cluster.slurm import allocation_end, is_requeued
from mpibatch.config.schema import OutputAction
from mpibatch.datasets import open_datasets
from mpibatch.datasets.base import Dataset
from mpibatch.datasets.state_file import load_states, write_states
from mpibatch.errors import ExitStatus, StoppedEarly
from mpibatch.files import write_error
from mpibatch.liveness.deadman import DeadmanSwitch
from mpibatch.liveness.lease import Lease, RunInUse, acquire
from mpibatch.liveness.timers import WALLTIME_MARGIN_SECONDS
from mpibatch.mpi.coordinator import Coordinator
from mpibatch.mpi.first_failures import FirstFailures
from mpibatch.mpi.messages import CancelRun, RunSetup
from mpibatch.mpi.parallel_map import ParallelMap
from mpibatch.mpi.rank_log import log_to
from mpibatch.mpi.registration import ALL_WORK_UP_TO, register
from mpibatch.mpi.run_monitor import RunMonitor
from mpibatch.mpi.signals import StopSignals
from mpibatch.mpi.stop import StopConditions
from mpibatch.mpi.transport import Transport
from mpibatch.mpi.worker_pool import WorkerPool
from mpibatch.output import open_format
from mpibatch.planning.plan import Plan
from mpibatch.reporting.console import Console, RunLog
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.fingerprints import Fingerprints
from mpibatch.runs.input_changes import ensure_inputs_unchanged
from mpibatch.runs.program_changes import (
    ProgramChanges,
    changes_meanwhile,
    compare_program,
    failed_by_the_script,
    was_aborted,
)
from mpibatch.runs.recovery import Checkpoint, RecoveredRun, recover
from mpibatch.runs.resume import ResumeOptions, RunContext, nothing_to_do
from mpibatch.runs.run_writer import RunWriter
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.scheduling.walltime import Walltime
from mpibatch.types import UNKNOWN

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


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a run begins with. again: mini-batches that were final and are run again."""

    recovered: RecoveredRun
    changes: ProgramChanges
    again: NDArray[np.int64]


def _plan_or_recover(context: RunContext, datasets: list[Dataset], transport: Transport) -> _Begun:
    """The plan, made or read back, and what is done of it."""
    directory, options = context.directory, context.options
    recovered = recover(directory)
    if recovered is None:
        plan = Plan.build(datasets, ParallelMap(transport))
        write_states(directory.dataset_states, datasets)
        plan.write(directory.plan_copy)  # first: where there is a plan there is its copy
        plan.write(directory.plan)
        fresh = RecoveredRun.fresh(plan)
        return _Begun(fresh, ProgramChanges(Fingerprints.of(context.job)), fresh.failed())
    load_states(directory.dataset_states, datasets)
    changes = compare_program(directory, context.job, recovered, options.accept_changed)
    again = _reopen(directory, recovered, changes, options)
    if not options.accept_changed:
        ensure_inputs_unchanged(directory, recovered, datasets)
    return _Begun(recovered, changes, again)


def _reopen(
    directory: RunDirectory, recovered: RecoveredRun, changes: ProgramChanges, options: ResumeOptions
) -> NDArray[np.int64]:
    """Takes back what is to be run again; which mini-batches those are."""
    if options.retry_failed:
        again = recovered.failed()
    elif changes.script_changed and was_aborted(directory):
        again = failed_by_the_script(recovered)
    else:
        return np.zeros(0, dtype=np.int64)
    recovered.checkpoint = Checkpoint()
    recovered.outcomes.table["final"][again] = False
    return again


def _run(
    context: RunContext,
    lease: Lease,
    transport: Transport,
    signals: StopSignals,
    deadman: DeadmanSwitch,
    notify: Callable[[str], None],
) -> ExitStatus:
    started = time.monotonic()
    job, directory, options = context.job, context.directory, context.options
    config = job.config
    datasets = open_datasets(job)
    begun = _plan_or_recover(context, datasets, transport)
    recovered, changes, again = begun.recovered, begun.changes, begun.again
    plan = recovered.plan
    planned = time.monotonic()
    for warning in plan.warnings:
        notify(f"warning: {warning}")
    if plan.items == 0:
        notify("warning: the inputs hold no items: run() is not called, and the output is empty")
    notify(f"{plan.total} mini-batches" + (f", {plan.items} items" if plan.items != UNKNOWN else ""))
    if recovered.epoch > 1:
        done = int(recovered.outcomes.table["final"].sum())
        notify(f"resuming a run that stopped: {done} mini-batches are done, {plan.total - done} remain")
    for change in changes.told:
        notify(f"warning: {change}")
    if len(again) and not options.retry_failed:
        notify(
            f"{len(again)} mini-batches that failed by the script's error are run again, since the script has changed"
        )
    output = (
        directory.outputs / config.append_row_file_name if config.output_action is OutputAction.APPEND_ROW else None
    )
    format = open_format(config.append_row_file_name, config.append_row_format) if output is not None else None
    writer = RunWriter(directory, recovered, datasets, format, output or directory.outputs / "none", lease)
    for warning in recovered.warnings:
        notify(f"warning: {warning}")
    # In this order: whatever is interrupted is begun again
    writer.reopen(again)
    told = changes.record(directory)
    _remove_summaries(directory)
    works = config.coordinator_works if config.coordinator_works is not None else transport.size <= ALL_WORK_UP_TO
    works = works or transport.size == 1
    setup = RunSetup(job, str(directory.path), works, options.accept_changed)
    for rank in range(1, transport.size):
        transport.send(rank, setup)
    registered, worker = register(setup, transport, deadman)
    scheduler = Scheduler(
        plan.total, SchedulingPolicy.from_config(config), recovered.outcomes.table, recovered.suspects
    )
    members = [*([0] if setup.coordinator_works else []), *range(1, transport.size)]
    monitor = RunMonitor(
        directory, recovered, scheduler, writer, output, transport.size, started, planned, notify, context.watched
    )
    monitor.changes = told
    pool = WorkerPool(transport, members, worker, deadman, config.rank_timeout)
    coordinator = Coordinator(
        plan,
        scheduler,
        writer,
        pool,
        StopConditions(signals, Walltime(allocation_end(os.environ), time.time, WALLTIME_MARGIN_SECONDS), config.grace),
        monitor,
        FirstFailures(members if recovered.epoch == 1 else (), config.error_threshold),
    )
    with pool.heartbeats():
        coordinator.register(0, registered)
        end = coordinator.run()
        monitor.changes = (*told, *changes_meanwhile(changes.now, job))
        return coordinator.finish(end)


def _remove_summaries(directory: RunDirectory) -> None:
    """The run has not ended after all."""
    for summary in (directory.summary_text, directory.summary):
        try:
            summary.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(summary, error) from error
