"""Rank 0 from the job to the summary: plan, everybody seated, the coordinator's loop, output closed.

Job --datasets--> Plan --> plan.parquet, Setup to all --> Coordinator.run --> assembly finished --> summary.json
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mpibatch.config.schema import Job, OutputAction
from mpibatch.datasets import open_datasets
from mpibatch.datasets.base import Dataset
from mpibatch.errors import AbortError, ExitStatus, MpibatchError, RunDirectoryError, StoppedEarly
from mpibatch.mpi.coordinator import Coordinator, Farewell, Progress
from mpibatch.mpi.lifeline import Lifeline
from mpibatch.mpi.member import Signals
from mpibatch.mpi.messages import CallOff, Seated, Setup
from mpibatch.mpi.session import ALL_WORK_UP_TO, SHUTDOWN_SECONDS, take_seat
from mpibatch.mpi.spread import Spread
from mpibatch.mpi.transport import Transport
from mpibatch.mpi.walltime import Walltime
from mpibatch.output import open_writer
from mpibatch.placement.allocation import allocation_end, is_restarted
from mpibatch.reporting import words
from mpibatch.reporting.console import Console
from mpibatch.runs import record
from mpibatch.runs.changes import refuse_changed_inputs
from mpibatch.runs.directory import RunDirectory, cannot_write, write_json
from mpibatch.runs.history import History, Position, read
from mpibatch.runs.lease import InUse, Lease, acquire
from mpibatch.runs.plan import Plan
from mpibatch.runs.record import Wishes
from mpibatch.runs.recorder import Recorder
from mpibatch.runs.status import ItemCounts, MiniBatchCounts, Seconds, State, Summary
from mpibatch.scheduling.scheduler import Policy, Scheduler
from mpibatch.scheduling.thresholds import Limits
from mpibatch.types import UNKNOWN, Cause

PROGRESS_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 1.0


def lead(
    job: Job,
    directory: RunDirectory,
    wishes: Wishes,
    transport: Transport,
    signals: Signals,
    lifeline: Lifeline,
    console: TextIO,
) -> ExitStatus:
    """The run of `job` in `directory`, as rank 0, from its beginning or from where it stopped.

    Raises MpibatchError where it cannot even begin.
    """
    tell = Console(console).tell
    tell(f"run directory {directory.path}")
    lease = own(directory, wishes, signals, tell)
    if lease is None:
        for rank in range(1, transport.size):
            transport.send(rank, CallOff())
        return ExitStatus.COMPLETE
    try:
        return _lead(job, directory, wishes, lease, transport, signals, lifeline, tell)
    finally:
        lease.release()


def own(directory: RunDirectory, wishes: Wishes, signals: Signals, tell: Callable[[str], None]) -> Lease | None:
    """Makes this process the owner; None where nothing is left to do.

    Slurm may have started this job again though its last incarnation lives, on a node that Slurm hears nothing of. If
    it reaches the run directory it may complete the run; it is waited for. Raises MpibatchError.
    """
    say = tell
    while True:
        if nothing_left := record.nothing_left(directory, wishes):
            tell(nothing_left)
            return None
        try:
            lease = acquire(directory, tell=say)
        except InUse as error:
            if not is_restarted(os.environ):
                raise
            if signals.take():
                raise StoppedEarly(f"{error} That was waited for until a signal came.") from error
            say(f"{error} That is waited for, since this job was started again by Slurm.")
            say = _say_nothing
            time.sleep(LOOK_AGAIN_SECONDS)
            continue
        if not record.nothing_left(directory, wishes):
            return lease
        lease.release()  # the last owner has completed the run just before it said goodbye


def _say_nothing(text: str) -> None:
    """What was said before."""


def _history(directory: RunDirectory, datasets: list[Dataset], wishes: Wishes, transport: Transport) -> History:
    """The plan, made or read back, and what is done of it."""
    history = read(directory)
    if history is None:
        plan = Plan.build(datasets, Spread(transport))
        plan.write(directory.plan)
        return History.none(plan)
    for dataset, frozen in zip(datasets, history.plan.frozen, strict=True):
        dataset.thaw(frozen)
    if wishes.retry_failed:
        history.position = Position()
        history.outcomes.table["final"][history.failed()] = False
    if not wishes.accept_changed:
        refuse_changed_inputs(directory, history, datasets)
    return history


def _lead(
    job: Job,
    directory: RunDirectory,
    wishes: Wishes,
    lease: Lease,
    transport: Transport,
    signals: Signals,
    lifeline: Lifeline,
    tell: Callable[[str], None],
) -> ExitStatus:
    started = time.monotonic()
    config = job.config
    datasets = open_datasets(job)
    history = _history(directory, datasets, wishes, transport)
    _withdraw(directory.summary)
    plan = history.plan
    planned = time.monotonic()
    for warning in plan.warnings:
        tell(f"warning: {warning}")
    tell(f"{plan.total} mini-batches" + (f", {plan.items} items" if plan.items != UNKNOWN else ""))
    if history.epoch > 1:
        done = int(history.outcomes.table["final"].sum())
        tell(f"going on with a run that stopped: {done} mini-batches are done, {plan.total - done} remain")
    works = config.coordinator_works if config.coordinator_works is not None else transport.size <= ALL_WORK_UP_TO
    setup = Setup(job, str(directory.path), plan.frozen, works or transport.size == 1)
    for rank in range(1, transport.size):
        transport.send(rank, setup)
    seated, worker = take_seat(setup, transport, lifeline)
    output = (
        directory.outputs / config.append_row_file_name if config.output_action is OutputAction.APPEND_ROW else None
    )
    format = open_writer(config.append_row_file_name, config.append_row_format) if output is not None else None
    recorder = Recorder(directory, history, datasets, format, output or directory.outputs / "none", lease)
    for damage in history.damage:
        tell(f"warning: {damage}")
    if wishes.retry_failed:
        recorder.reopen(np.flatnonzero(~history.outcomes.table["final"]))
    scheduler = Scheduler(plan.total, _policy(job), history.outcomes.table)
    walltime = Walltime(allocation_end(os.environ), time.time)
    board = _Board(directory, history, scheduler, recorder, walltime, output, transport.size, started, planned, tell)
    coordinator = Coordinator(
        transport=transport,
        members=[*([0] if setup.coordinator_works else []), *range(1, transport.size)],
        worker=worker,
        plan=plan,
        scheduler=scheduler,
        recorder=recorder,
        signals=signals,
        lifeline=lifeline,
        config=config,
        walltime=walltime,
        housekeep=board.update,
        seated=lambda ranks: board.place(ranks, transport.library),
        tell=tell,
    )
    coordinator.hear_seated(0, seated)
    board.clock = lambda: coordinator.first_grant
    farewell = coordinator.run()
    return board.end(coordinator, farewell)


def _withdraw(summary: Path) -> None:
    """The run has not ended after all."""
    try:
        summary.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(summary, error) from error


def _policy(job: Job) -> Policy:
    config = job.config
    limits = Limits(config.error_threshold, config.allowed_failed_count, config.allowed_failed_percent)
    return Policy(config.run_max_try, config.isolate_failures, limits)


class _Board:
    """Where the run stands, for status.json, the console and, at the end, summary.json."""

    def __init__(
        self,
        directory: RunDirectory,
        history: History,
        scheduler: Scheduler,
        recorder: Recorder,
        walltime: Walltime,
        output: Path | None,
        ranks: int,
        started: float,
        planned: float,
        tell: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._plan = history.plan
        self._epoch = history.epoch
        self._scheduler = scheduler
        self._recorder = recorder
        self._walltime = walltime
        self._output = output
        self._ranks = ranks
        self._started = started
        self._planned = planned
        self._tell = tell
        self._told = time.monotonic()
        self.clock: Callable[[], float | None] = lambda: None  # when the first mini-batch was granted

    def place(self, ranks: list[Seated], library: str) -> None:
        """Everybody is seated: once on the console, and in run.json."""
        record.complete(self._directory, ranks, library)
        for rank, seat in enumerate(ranks):
            if seat.placement is not None:
                self._tell(f"rank {rank} on {seat.host}: {words.place(seat.placement)}")

    def update(self, progress: Progress) -> None:
        summary = self._summary(State.RUNNING, "")
        write_json(self._directory.status, self._status(summary))
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._tell(words.progress(summary, progress.working))

    def end(self, coordinator: Coordinator, farewell: Farewell) -> ExitStatus:
        """Output closed, summary written, workers gone, in an order in which a hang loses nothing."""
        error = farewell.error or coordinator.meanwhile(self._close_output)
        state = State.COMPLETED if error is None else State.ABORTED if isinstance(error, AbortError) else State.STOPPED
        summary = self._summary(state, str(error or ""))
        try:
            write_json(self._directory.status, self._status(summary))
            write_json(self._directory.summary, summary.to_json())
        except RunDirectoryError as failed:
            self._tell(f"the summary cannot be written: {failed}")
            error = error or failed
        coordinator.dismiss(at_once=error is not None and not isinstance(error, StoppedEarly))
        coordinator.see_off(SHUTDOWN_SECONDS)
        try:
            self._recorder.close(keep=error is not None or bool(self._scheduler.tally.items_failed))
        except (OSError, MpibatchError) as failed:
            self._tell(f"warning: the run directory could not be tidied up: {failed}")
        with contextlib.suppress(OSError):
            self._tell(words.ending(summary, str(self._directory.path)))
        return ExitStatus.COMPLETE if error is None else error.status

    def _close_output(self) -> MpibatchError | None:
        """Everything is final: the output is completed, if the allocation lasts that long."""
        if not self._walltime.allows_assembly(self._recorder.to_be_made):
            return StoppedEarly(
                "only the final assembly is left, and the allocation ends soon: a resume does just that"
            )
        try:
            self._recorder.finish()
        except (RunDirectoryError, StoppedEarly) as error:
            return error
        return None

    def _status(self, summary: Summary) -> dict[str, Any]:
        return {**summary.to_json(), "in_flight": self._scheduler.in_flight(20)}

    def _summary(self, state: State, reason: str) -> Summary:
        now = time.monotonic()
        tally, begun = self._scheduler.tally, self.clock()
        return Summary(
            status=state,
            reason=reason,
            mini_batches=MiniBatchCounts(
                self._plan.total, tally.mini_batches_succeeded, tally.mini_batches_failed, self._scheduler.remaining
            ),
            items=ItemCounts(self._items(), tally.items_succeeded, tally.items_failed, tally.items_estimated),
            attempts={cause.name.lower(): int(self._recorder.attempts[cause]) for cause in Cause},
            seconds=Seconds(now - self._started, self._planned - self._started, now - begun if begun else 0.0),
            output=None if self._output is None else str(self._output),
            ranks=self._ranks,
            restarts=self._epoch - 1,
        )

    def _items(self) -> int:
        tally = self._scheduler.tally
        done = tally.items_succeeded + tally.items_failed
        return self._plan.items if self._plan.items != UNKNOWN or self._scheduler.remaining else done
