"""Rank 0's loop: reports in, scheduler, run writer, orders out.

    transport.receive --+                       +--> RunWriter: events, results log, assembly
    own worker.poll ----+--> Report --> scheduler --Action--> Order --> transport.send, own worker.handle
    signals, clock -----+

It holds no row bytes: what arrives goes to the log before the next poll.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from mpibatch.attempts import AttemptOutcome, Failure
from mpibatch.errors import AbortError, ExitStatus, MpibatchError, RunDirectoryError, StoppedEarly, UsageError
from mpibatch.liveness.timers import SHUTDOWN_WAIT_SECONDS, WALLTIME_MARGIN_SECONDS
from mpibatch.mpi.backoff import Backoff
from mpibatch.mpi.conviction import failed_attempt
from mpibatch.mpi.first_failures import FirstFailures
from mpibatch.mpi.gathering import ResultsBatch, gathered
from mpibatch.mpi.messages import Registered, SignalReceived
from mpibatch.mpi.parallel_map import MapResult
from mpibatch.mpi.run_end import RunEnd
from mpibatch.mpi.run_monitor import RunMonitor
from mpibatch.mpi.start_failures import OF_THE_MACHINE, StartFailures
from mpibatch.mpi.stop import StopConditions, StopRequest
from mpibatch.mpi.worker_pool import WorkerPool
from mpibatch.planning.plan import Plan
from mpibatch.runs.run_writer import RunWriter
from mpibatch.scheduling.actions import Abort, Action, Cancel, Finish, Grant, Recall
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.worker.messages import (
    CancelTasks,
    Drain,
    ExecuteTasks,
    ExecutorReplaced,
    ExecutorRestarted,
    Heartbeat,
    NewSchema,
    RecallTasks,
    Rejoined,
    Report,
    StartFailed,
    TasksReturned,
    WorkerExited,
    WorkerReady,
    WorkerRetired,
)

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 1.0
ASSEMBLY_SECONDS = 0.05  # in one piece, what came meanwhile costs a fraction
CHECKPOINT_SECONDS = 5.0
CLOSING = -WALLTIME_MARGIN_SECONDS / 2  # the margin is there for the output to be closed


class Coordinator:
    """One run."""

    def __init__(
        self,
        plan: Plan,
        scheduler: Scheduler,
        writer: RunWriter,
        pool: WorkerPool,
        stop: StopConditions,
        monitor: RunMonitor,
        first_failures: FirstFailures,
    ) -> None:
        self._plan = plan
        self._scheduler = scheduler
        self._writer = writer
        self._pool = pool
        self._stop = stop
        self._monitor = monitor
        self._first_failures = first_failures
        self._first_failure: Failure | None = None
        self._start_failures = StartFailures()
        self._end: RunEnd | None = None
        self._closing = False  # everything is final, and only the output is still to be completed
        self._drain_reason: str | None = None
        self._warned_of_surplus = False
        self._replacement_told = False
        self._attempts = 0

    def run(self) -> RunEnd:
        """Until every mini-batch is final or the run must end; the workers are still there.

        `finish` is next.
        """
        backoff, last, assembled, more, checkpointed = Backoff(), 0.0, 0.0, False, time.monotonic()
        try:
            self._give_up(0, self._scheduler.convicted)
            self._apply(self._scheduler.start())
            while self._end is None:
                self._attempts = 0
                busy = self._poll()
                now = time.monotonic()
                if more or self._closing or now - assembled > ASSEMBLY_SECONDS:
                    assembled, more = now, self._assemble()
                    busy |= more
                    if self._closing and not (more or self._writer.is_behind) and self._end is None:
                        self._end = RunEnd()
                if now - last > HOUSEKEEPING_SECONDS:
                    last = now
                    self._writer.sync()
                    self._monitor.progress(self._pool.ready_ranks)
                    self._check_ranks()
                    self._check_walltime()
                    self._back_up(now)
                if now - checkpointed > CHECKPOINT_SECONDS:
                    checkpointed = now
                    self._writer.checkpoint()
                backoff.wait(self._pool.fds(), busy, self._attempts)
            self._check_thresholds_at_end()
        except (RunDirectoryError, StoppedEarly) as error:  # the disk is full or gone; another owner has taken over
            self._end = RunEnd(error)
        return self._end

    def _check_thresholds_at_end(self) -> None:
        """The thresholds once more: assembly may have refused successes."""
        tally, thresholds = self._scheduler.tally, self._scheduler.policy.thresholds
        if self._end is not None and self._end.error is None:
            reason = tally.exceeded_at_end(thresholds, self._plan.total)
            self._end = RunEnd.aborted(reason, self._first_failure) if reason else RunEnd()

    def finish(self, end: RunEnd) -> ExitStatus:
        """Output closed, summary written, workers gone, in an order in which a hang loses nothing."""
        if isinstance(end.error, AbortError):
            self._assemble_known()
        error = end.error or self._run_in_background(self._close_output)
        self._closing = False
        error = self._monitor.write_summary(error)
        self._pool.shut_down(kill=error is not None and not isinstance(error, StoppedEarly))
        self._await_exits(SHUTDOWN_WAIT_SECONDS)
        try:
            self._writer.close(keep=error is not None or bool(self._scheduler.tally.items_failed))
        except (OSError, MpibatchError) as failed:
            self._monitor.notify(f"warning: the run directory could not be tidied up: {failed}")
        self._monitor.show_end()
        return ExitStatus.COMPLETE if error is None else error.status

    def _assemble_known(self) -> None:
        """At an abort: the rows that are known up to the first mini-batch that is not."""
        with suppress(RunDirectoryError, StoppedEarly):  # they are in the log all the same
            while self._assemble():
                self._poll()

    def _await_exits(self, seconds: float) -> None:
        """Waits for the workers to be gone; who has not answered after `seconds` is left behind."""
        backoff, until = Backoff(), time.monotonic() + seconds
        while not self._pool.all_exited and time.monotonic() < until:
            busy = self._poll()
            backoff.wait(self._pool.fds(), busy)
        self._pool.leave_behind()

    def _close_output(self) -> MpibatchError | None:
        """Everything is final: the output is completed."""
        try:
            self._writer.finish()
        except (RunDirectoryError, StoppedEarly) as error:
            return error
        return None

    def _run_in_background(self, work: Callable[[], MpibatchError | None]) -> MpibatchError | None:
        """What `work`, in a thread, returns. The ranks would give up on a rank 0 that does but that."""
        backoff, last = Backoff(), 0.0
        with ThreadPoolExecutor(1, "mpibatch-background") as pool:
            result = pool.submit(work)
            while not result.done():
                busy = self._poll()
                if time.monotonic() - last > HOUSEKEEPING_SECONDS:
                    last = time.monotonic()
                    self._check_walltime()
                backoff.wait(self._pool.fds(), busy)
        return result.result()

    def register(self, rank: int, info: Registered) -> None:
        """Where a rank's executor is, or why it can have none; once all have said so it is made known."""
        if info.problem and self._end is None:
            self._end = RunEnd(UsageError(f"rank {rank} on {info.host}: {info.problem}"))
        self._note_place(rank, info)

    def _note_place(self, rank: int, info: Registered) -> None:
        everybody = self._pool.register(rank, info)
        if everybody is not None:
            self._monitor.registered(everybody, self._pool.library)

    # -- events

    def _poll(self) -> bool:
        """Everything that has happened since the last call."""
        messages = self._pool.poll()
        for rank in self._pool.take_failed():
            self._on_rank_lost(rank, "has died")
        # while failures are judged it matters who had which
        for rank, message in gathered(messages, at_most=1 if self._first_failures.judges_run else len(messages)):
            if isinstance(message, SignalReceived):
                self._begin_drain(self._stop.on_signal(message.number, rank))
            elif isinstance(message, Registered):
                self.register(rank, message)
            else:
                self._on_report(rank, message)
        for request in self._stop.own_signals():
            self._begin_drain(request)
        self._pool.turned()
        return bool(messages) or self._pool.is_busy

    def _on_report(self, rank: int, report: Report | ResultsBatch | MapResult) -> None:
        match report:
            case ResultsBatch():
                self._on_results(rank, report)
            case NewSchema(id, schema):
                self._writer.add_schema(id, schema)
            case WorkerReady(seconds):
                logger.info("rank %d is ready after %.2f s", rank, seconds)
                self._monitor.on_executor_ready(rank, self._pool.host(rank), seconds)
                self._pool.on_ready(rank)
                self._first_failures.on_ready()
                self._apply(self._scheduler.on_worker_ready(rank))
            case ExecutorRestarted(seconds):
                self._monitor.on_executor_ready(rank, self._pool.host(rank), seconds)
            case TasksReturned(indices, asked):
                self._apply(self._scheduler.on_returned(rank, indices, asked))
            case StartFailed(failure):
                self._on_start_failed(failure, "it is tried again")
            case ExecutorReplaced(reason):
                self._on_executor_replaced(rank, reason)
            case WorkerRetired(failure):
                self._on_start_failed(failure, "the rank retires")
                self._on_worker_retired(rank)
            case Rejoined(_, has_begun):
                self._on_rejoined(rank, has_begun)
            case WorkerExited():
                self._pool.on_exited(rank)
            case Heartbeat() | MapResult():
                pass  # MapResult: an answer that planning has not waited for

    def _on_results(self, rank: int, batch: ResultsBatch) -> None:
        records, data = batch.records, batch.data
        self._attempts += len(records)
        failures = self._writer.record_attempts(records, data)
        if failures:
            self._note_first_failure(failures[0])
        made_final, actions = self._scheduler.on_attempts(records, batch.ranks)
        self._writer.append_final(records, data, made_final)
        if self._writer.first_surplus is not None and not self._warned_of_surplus:
            self._warned_of_surplus = True
            self._monitor.notify(
                f"warning: run() returned more rows than items for mini-batch {self._writer.first_surplus} (and maybe "
                "others); all rows are kept"
            )
        self._apply(actions)
        if self._first_failures.judges_run:
            outcomes = zip(records["index"].tolist(), map(AttemptOutcome, records["cause"].tolist()), strict=True)
            self._end_if_broken(self._first_failures.on_attempts(rank, outcomes, failures), self._first_failure)
        fatal = next((failure for failure in failures if failure.fatal), None)
        if fatal is not None:
            self._end = RunEnd.aborted(fatal.error, None)

    def _note_first_failure(self, failure: Failure) -> None:
        self._first_failure = self._first_failure or failure

    def _assemble(self) -> bool:
        """Some more of the output; returns whether there is still more."""
        more, rejected = self._writer.assemble()
        for one in rejected:
            self._note_first_failure(one.failure)
            self._apply(self._scheduler.on_rows_rejected(one.items))
        return more

    def _on_start_failed(self, failure: Failure, what_next: str) -> None:
        if self._start_failures.note(failure):
            self._monitor.notify(f"rank {failure.rank} on {failure.host}: {failure.error[:300]}; {what_next}")
        logger.warning("rank %d: %s; %s\n%s", failure.rank, failure.error, what_next, failure.traceback)
        self._writer.log_failure(failure)
        if failure.cause not in OF_THE_MACHINE:
            self._end_if_broken(self._first_failures.on_start_failed(failure), self._start_failures.first)

    def _end_if_broken(self, reason: str | None, failure: Failure | None) -> None:
        """The script fails everywhere from the start: nobody need wait for the rest to do so too."""
        if reason is not None and self._end is None:
            self._end = RunEnd.aborted(reason, failure)

    def _on_executor_replaced(self, rank: int, reason: str) -> None:
        logger.info("rank %d: its executor is replaced: %s", rank, reason)
        if not self._replacement_told:
            self._replacement_told = True
            self._monitor.notify(
                f"rank {rank} on {self._pool.host(rank)}: its executor is replaced, since {reason[:300]}; later "
                "replacements are in logs/sys only"
            )

    def _on_worker_retired(self, rank: int) -> None:
        self._pool.on_retired(rank)
        self._apply(self._scheduler.on_worker_removed(rank))
        self._check_workers_left()

    def _check_workers_left(self) -> None:
        if self._end is None and not self._closing and not self._pool.has_workers:
            self._end = RunEnd(self._start_failures.end())

    def _on_rank_lost(self, rank: int, how: str) -> None:
        """A rank has died or is silent: what it was assigned goes to others, and nothing that it still sends counts."""
        assigned = self._scheduler.assigned_to(rank)
        host = self._pool.host(rank)
        self._monitor.notify(f"rank {rank} on {host} {how}; its {len(assigned)} mini-batches go to others")
        logger.warning("rank %d on %s %s; it held %s", rank, host, how, assigned)
        if not self._pool.is_registered(rank):
            self._note_place(rank, Registered("unknown", 0, None, how))
        self._pool.on_lost(rank)
        self._first_failures.on_lost(rank)
        convicted, actions = self._scheduler.on_worker_lost(rank)
        self._writer.log_lost_rank(rank, len(assigned) - len(convicted))
        self._give_up(rank, convicted)
        self._apply(actions)
        self._check_workers_left()

    def _on_rejoined(self, rank: int, has_begun: bool) -> None:
        self._monitor.notify(f"rank {rank} on {self._pool.host(rank)} is heard again, and gets work again")
        if has_begun:
            self._pool.on_ready(rank)
            self._apply(self._scheduler.on_worker_ready(rank))

    def _give_up(self, rank: int, convicted: list[int]) -> None:
        """Mini-batches that have ended one rank after the other, `rank` last, fail."""
        for index in convicted:
            items, host = self._plan.mini_batch(index).items, self._pool.host(rank)
            records, data, failure = failed_attempt(index, items, rank, host)
            self._writer.record_attempts(records, data)
            self._note_first_failure(failure)
            self._writer.append_final(records, data, np.ones(1, dtype=np.bool_))
            self._apply(self._scheduler.give_up(records[0]))

    def _check_ranks(self) -> None:
        for rank in self._pool.suspected():
            self._on_rank_lost(rank, f"has been silent for {self._pool.rank_timeout:g} s (rank_timeout)")

    def _check_walltime(self) -> None:
        request = self._stop.check_walltime(CLOSING if self._closing else self._scheduler.window.longest_recent)
        if request is not None:
            self._begin_drain(request)

    def _back_up(self, now: float) -> None:
        actions = self._scheduler.back_up(now)
        for action in actions:
            logger.info("far slower than most, and begun again elsewhere: %s", action)
        self._apply(actions)

    def _begin_drain(self, request: StopRequest) -> None:
        """No new grants; what runs gets its grace. Where only the output is to be completed a resume can do that."""
        if self._closing and self._drain_reason is None:
            self._drain_reason = request.reason
            what_is_left = f"{request.reason}: only the output was still to be completed, and a resume does just that"
            self._writer.cancel_finish(what_is_left)
            self._end = self._end or RunEnd(StoppedEarly(what_is_left))
        elif self._drain_reason is None and self._end is None:
            self._drain_reason = request.reason
            what_next = f"running mini-batches get {request.grace:.3g} s, then the run stops; it can be resumed"
            self._monitor.notify(f"{request.reason}: {what_next}")
            actions = self._scheduler.drain()
            self._pool.send_to_all(Drain(request.grace))
            self._apply(actions)

    def _apply(self, actions: list[Action]) -> None:
        self._writer.log_grants([action for action in actions if isinstance(action, Grant)])
        for action in actions:
            match action:
                case Grant(rank, first, count, tries, isolate_items):
                    self._monitor.on_grant()
                    self._pool.send(
                        rank,
                        ExecuteTasks(
                            self._plan.batches(first, count),
                            tries,
                            self._scheduler.packet_size(rank, count),
                            isolate_items,
                        ),
                    )
                case Recall(rank, count):
                    self._pool.send(rank, RecallTasks(count))
                case Cancel(rank, index):
                    self._pool.send(rank, CancelTasks([index]))
                case Abort(reason):
                    self._end = RunEnd.aborted(reason, self._first_failure)
                case Finish() if self._scheduler.remaining:
                    self._end = RunEnd(StoppedEarly(self._drain_reason or "stopped"))
                case Finish():
                    self._closing, self._drain_reason = True, None
