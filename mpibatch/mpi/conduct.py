"""A run with a plan, conducted to its end: what the coordinator works with, its loop, the summary.

Beginning --> Scheduler, RunWriter, RunMonitor, StopConditions --+
WorkerPool, whose executors start meanwhile ---------------------+--> Coordinator.run --> finish --> ExitStatus
"""

import os
import time
from collections.abc import Callable, Sequence

from mpibatch.cluster.slurm import allocation_end
from mpibatch.config.choices import OutputAction
from mpibatch.datasets.base import Dataset
from mpibatch.errors import ExitStatus
from mpibatch.files import write_error
from mpibatch.liveness.lease import Lease
from mpibatch.liveness.timers import WALLTIME_MARGIN_SECONDS
from mpibatch.mpi.beginning import Beginning
from mpibatch.mpi.coordinator import Coordinator
from mpibatch.mpi.first_failures import FirstFailures
from mpibatch.mpi.messages import Registered
from mpibatch.mpi.run_monitor import RunMonitor
from mpibatch.mpi.signals import StopSignals
from mpibatch.mpi.stop import StopConditions
from mpibatch.mpi.worker_pool import WorkerPool
from mpibatch.output import open_format
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.program_changes import changes_meanwhile
from mpibatch.runs.resume import RunContext
from mpibatch.runs.run_writer import RunWriter
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.scheduling.walltime import Walltime
from mpibatch.types import UNKNOWN
from mpibatch.worker import background


def conduct(
    context: RunContext,
    lease: Lease,
    begun: Beginning,
    datasets: Sequence[Dataset],
    pool: WorkerPool,
    registered: Registered,
    signals: StopSignals,
    notify: Callable[[str], None],
    started: float,
) -> ExitStatus:
    """All that is left of a run.

    registered: rank 0 itself
    started:    when this incarnation began, by time.monotonic
    Raises MpibatchError where it cannot even begin.
    """
    planned = time.monotonic()
    job, directory, config = context.job, context.directory, context.job.config
    recovered, changes, plan = begun.recovered, begun.changes, begun.recovered.plan
    _tell(context, begun, notify)
    output = (
        directory.outputs / config.append_row_file_name if config.output_action is OutputAction.APPEND_ROW else None
    )
    format = open_format(config.append_row_file_name, config.append_row_format) if output is not None else None
    writer = RunWriter(directory, recovered, datasets, format, output or directory.outputs / "none", lease)
    for warning in recovered.warnings:
        notify(f"warning: {warning}")
    # In this order: whatever is interrupted is begun again
    writer.reopen(begun.again)
    told = changes.record(directory)
    _remove_summaries(directory)
    scheduler = Scheduler(
        plan.total, SchedulingPolicy.from_config(config), recovered.outcomes.table, recovered.suspects
    )
    monitor = RunMonitor(
        directory, recovered, scheduler, writer, output, pool.ranks, started, planned, notify, context.watched
    )
    monitor.changes = told
    coordinator = Coordinator(
        plan,
        scheduler,
        writer,
        pool,
        StopConditions(signals, Walltime(allocation_end(os.environ), time.time, WALLTIME_MARGIN_SECONDS), config.grace),
        monitor,
        FirstFailures(pool.members if recovered.epoch == 1 else (), config.error_threshold),
    )
    pool.listen()
    coordinator.register(0, registered)
    with background.giving_way():
        end = coordinator.run()
    monitor.changes = (*told, *changes_meanwhile(changes.now, job))
    return coordinator.finish(end)


def _tell(context: RunContext, begun: Beginning, notify: Callable[[str], None]) -> None:
    """What there is to do."""
    recovered, plan = begun.recovered, begun.recovered.plan
    for warning in plan.warnings:
        notify(f"warning: {warning}")
    if plan.items == 0:
        notify("warning: the inputs hold no items: run() is not called, and the output is empty")
    notify(f"{plan.total} mini-batches" + (f", {plan.items} items" if plan.items != UNKNOWN else ""))
    if recovered.epoch > 1:
        done = int(recovered.outcomes.table["final"].sum())
        notify(f"resuming a run that stopped: {done} mini-batches are done, {plan.total - done} remain")
    for change in begun.changes.told:
        notify(f"warning: {change}")
    if len(begun.again) and not context.options.retry_failed:
        notify(
            f"{len(begun.again)} mini-batches that failed by the script's error are run again, since the script has "
            "changed"
        )


def _remove_summaries(directory: RunDirectory) -> None:
    """The run has not ended after all."""
    for summary in (directory.summary_text, directory.summary):
        try:
            summary.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(summary, error) from error
