"""Where a run stands: status.json about once a second, progress lines, and summary.json at the end."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import indent

from mpibatch.attempts import AttemptOutcome
from mpibatch.errors import MpibatchError, RanksLost, RunDirectoryError, StoppedEarly
from mpibatch.mpi.messages import Registered
from mpibatch.mpi.status_thread import StatusThread
from mpibatch.reporting import text
from mpibatch.reporting.intervals import GrowingInterval
from mpibatch.reporting.placement_table import placement_table
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.recovery import RecoveredRun
from mpibatch.runs.run_record import RankRecord, add_ranks
from mpibatch.runs.run_writer import RunWriter
from mpibatch.runs.summary import (
    BackupAttempts,
    Durations,
    ExecutorCounts,
    ItemCounts,
    MiniBatchCounts,
    RunState,
    Summary,
)
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.types import UNKNOWN

KINDS_KEPT = 20  # kinds of failures in status.json


class RunMonitor:
    """Where the run stands, for status.json, the console and, at the end, summary.json.

    watched: a launcher reads status.json and shows progress and the end; else they are lines here
    """

    def __init__(
        self,
        directory: RunDirectory,
        recovered: RecoveredRun,
        scheduler: Scheduler,
        writer: RunWriter,
        output: Path | None,
        ranks: int,
        started: float,
        planned: float,
        notify: Callable[[str], None],
        watched: bool = False,
    ) -> None:
        self._directory = directory
        self._plan = recovered.plan
        self._epoch = recovered.epoch
        self._scheduler = scheduler
        self._writer = writer
        self._output = output
        self._ranks = ranks
        self._started = started
        self._planned = planned
        self.notify = notify
        self._watched = watched
        self.changes: tuple[str, ...] = ()  # of script and side inputs, in words
        self._began = time.time()
        self._owned = True
        self._executors_started = 0
        self._ready_ranks = 0
        self._kinds_announced = 0
        self._status = StatusThread(directory)
        self._interval = GrowingInterval()
        self._first_grant: float | None = None  # time.monotonic()
        self._final: Summary | None = None

    def registered(self, ranks: list[Registered], library: str) -> None:
        """Every rank has registered: once on the console, and in run.json."""
        records = [RankRecord(info.host, info.local_rank, info.placement, info.problem) for info in ranks]
        add_ranks(self._directory, records, library)
        table = placement_table([(info.host, info.placement or info.problem or "coordinates only") for info in ranks])
        self.notify(f"what each executor got:\n{indent(table, '  ')}")
        # while the executors start: at the end of a short run it would be waited for
        threading.Thread(target=_prepare_report, name="mpibatch-report", daemon=True).start()

    def on_grant(self) -> None:
        """Mini-batches are granted: with the first of them processing begins."""
        if self._first_grant is None:
            self._first_grant = time.monotonic()

    def on_executor_ready(self, rank: int, host: str, seconds: float) -> None:
        """An executor's init() is done, `seconds` after it was started."""
        self._executors_started += 1
        self._writer.log_executor(rank, host, seconds)

    def progress(self, ready_ranks: int) -> None:
        """About once a second. ready_ranks: how many have an executor whose init() is done."""
        self._ready_ranks = ready_ranks
        summary = self._summary(RunState.RUNNING, "")
        self._status.put(summary)
        self._announce_failures(summary)
        if not self._watched and self._interval.is_over():
            self.notify(text.progress(summary))

    def _announce_failures(self, summary: Summary) -> None:
        """Each kind of failure, once."""
        kinds = self._writer.failure_kinds.in_order()
        for kind in kinds[self._kinds_announced : KINDS_KEPT]:
            first = "first failure" if kind is kinds[0] else "another kind of failure"
            self.notify(f"{first}: {text.failure_line(kind)}")
        self._kinds_announced = len(kinds)

    def write_summary(self, error: MpibatchError | None) -> MpibatchError | None:
        """The run ends by `error`, None where it is complete; what it ends by where not even that can be written."""
        ended = self._summary(RunState.of(error), str(error or ""))
        self._final = replace(ended, ranks_lost=isinstance(error, RanksLost))
        self._announce_failures(self._final)
        self._status.stop()
        try:
            self._writer.ensure_owned()  # a successor's summary is not to be touched
            self._final.write_status(self._directory)
            self._final.write(self._directory)
        except StoppedEarly as lost:
            self._owned = False
            return error or lost
        except RunDirectoryError as failed:
            self.notify(f"the summary cannot be written: {failed}")
            return error or failed
        return error

    def show_end(self) -> None:
        """What the run has come to: in report.html and summary.txt; and said here, where no launcher says it."""
        assert self._final is not None
        if self._owned:  # else they are a successor's
            from mpibatch.reporting.report import finish

            said = finish(self._final, self._directory)
        else:
            said = f"{self._final.status.value}: another process has taken over {self._directory.path}"
        if not self._watched:
            with contextlib.suppress(OSError):
                self.notify(said)

    def _summary(self, state: RunState, reason: str) -> Summary:
        now = time.monotonic()
        tally, first_grant = self._scheduler.tally, self._first_grant
        return Summary(
            status=state,
            reason=reason,
            mini_batches=MiniBatchCounts(
                self._plan.total, tally.mini_batches_succeeded, tally.mini_batches_failed, self._scheduler.remaining
            ),
            items=ItemCounts(self._items(), tally.items_succeeded, tally.items_failed, tally.items_estimated),
            attempts={outcome.name.lower(): int(self._writer.attempts[outcome]) for outcome in AttemptOutcome},
            seconds=Durations(
                now - self._started, self._planned - self._started, now - first_grant if first_grant else 0.0
            ),
            output=None if self._output is None else str(self._output.relative_to(self._directory.path)),
            ranks=self._ranks,
            restarts=self._epoch - 1,
            in_flight=tuple(self._scheduler.in_flight(20)),
            started=self._began,
            updated=time.time(),
            executors=ExecutorCounts(self._ready_ranks, self._scheduler.busy_workers, self._executors_started),
            failures=self._writer.failure_kinds.most_frequent(KINDS_KEPT),
            changes=self.changes,
            backups=BackupAttempts(self._scheduler.backups.begun, self._scheduler.backups.won),
        )

    def _items(self) -> int:
        tally = self._scheduler.tally
        done = tally.items_succeeded + tally.items_failed
        return self._plan.items if self._plan.items != UNKNOWN or self._scheduler.remaining else done


def _prepare_report() -> None:
    from mpibatch.reporting.report import prepare

    prepare()
