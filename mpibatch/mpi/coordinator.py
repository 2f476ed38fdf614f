"""Rank 0's loop: reports in, scheduler, recorder, orders out.

    transport.receive --+                       +--> recorder: events, results log, assembly
    own worker.poll ----+--> Report --> scheduler --Action--> Order --> transport.send, own worker.handle
    signals, clock -----+

It holds no row bytes: what arrives goes to the log before the next look.
"""

import logging
import math
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from mpibatch.config.schema import ParallelRunConfig
from mpibatch.errors import AbortError, MpibatchError, RunDirectoryError, StoppedEarly, UsageError
from mpibatch.execution.messages import (
    Beat,
    Drain,
    GiveBack,
    Gone,
    Joined,
    Leave,
    Order,
    Report,
    Results,
    Retired,
    Returned,
    Run,
    SchemaSeen,
    Stumbled,
)
from mpibatch.execution.worker import Worker
from mpibatch.mpi.hearing import Hearing
from mpibatch.mpi.lifeline import Lifeline
from mpibatch.mpi.member import BEAT_SECONDS, Signals
from mpibatch.mpi.messages import Seated, Signalled
from mpibatch.mpi.pace import Pace
from mpibatch.mpi.spread import Answer
from mpibatch.mpi.transport import Transport
from mpibatch.mpi.walltime import Walltime
from mpibatch.runs.plan import Plan
from mpibatch.runs.recorder import UNSEEN, Recorder
from mpibatch.scheduling.scheduler import ATTEMPT_DTYPE, Abort, Action, Finish, Grant, Recall, Scheduler
from mpibatch.types import Failure

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 1.0
ASSEMBLY_SECONDS = 0.05  # in one piece, what came meanwhile costs a fraction
CHECKPOINT_SECONDS = 5.0
FAREWELL_SECONDS = 20.0  # beyond the time that shutdown() gets


@dataclass(frozen=True, slots=True)
class Progress:
    """Told to whoever looks on, once a second and at the end."""

    first_failure: Failure | None
    working: int  # ranks whose executor is ready


@dataclass(slots=True)
class Farewell:
    """Why the loop ended; None: everything is final."""

    error: MpibatchError | None = None


@dataclass(slots=True)
class _Ranks:
    """Who is where in their lives."""

    working: set[int] = field(default_factory=set)
    retired: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)


class Coordinator:
    """One run.

    members: ranks that own a worker; worker: rank 0's own, None if it does not work
    tell:    writes a line for the user
    """

    def __init__(
        self,
        transport: Transport,
        members: list[int],
        worker: Worker | None,
        plan: Plan,
        scheduler: Scheduler,
        recorder: Recorder,
        signals: Signals,
        lifeline: Lifeline,
        config: ParallelRunConfig,
        walltime: Walltime,
        housekeep: Callable[[Progress], None],
        seated: Callable[[list[Seated]], None],
        tell: Callable[[str], None],
    ) -> None:
        self._transport = transport
        self._members = members
        self._worker = worker
        self._plan = plan
        self._scheduler = scheduler
        self._recorder = recorder
        self._signals = signals
        self._lifeline = lifeline
        self._config = config
        self._walltime = walltime
        self._hearing = Hearing(rank for rank in range(transport.size) if rank)
        self._housekeep = housekeep
        self._all_seated = seated
        self._seated: dict[int, Seated] = {}
        self._tell = tell
        self._ranks = _Ranks()
        self._first_failure: Failure | None = None
        self._first_refusal: Failure | None = None
        self._ended: Farewell | None = None
        self._stopped_by: str | None = None
        self._warned_of_surplus = False
        self._attempts = 0
        self._last_beat = time.monotonic()
        self.first_grant: float | None = None  # time.monotonic()

    def run(self) -> Farewell:
        """Until every mini-batch is final or the run must end. The workers are still there; `dismiss` is next."""
        pace, last, assembled, more, checkpointed = Pace(), 0.0, 0.0, False, time.monotonic()
        try:
            self._act(self._scheduler.begin())
            while self._ended is None:
                self._attempts = 0
                busy = self._look()
                now = time.monotonic()
                if more or now - assembled > ASSEMBLY_SECONDS:
                    assembled, more = now, self._assemble()
                    busy |= more
                if now - last > HOUSEKEEPING_SECONDS:
                    last = now
                    self._recorder.sync()
                    self._housekeep(self.progress())
                    self._watch_ranks()
                    self._watch_walltime()
                if now - checkpointed > CHECKPOINT_SECONDS:
                    checkpointed = now
                    self._recorder.checkpoint()
                pace.rest(self._descriptors(), busy, self._attempts)
            while self._ended.error is None and self._assemble():
                self._look()
            self._judge_at_end()
        except (RunDirectoryError, StoppedEarly) as error:  # the disk is full or gone; another owner has taken over
            self._ended = Farewell(error)
        return self._ended

    def _judge_at_end(self) -> None:
        """The thresholds once more: assembly may have refused successes."""
        tally, limits = self._scheduler.tally, self._scheduler.policy.limits
        if self._ended is not None and self._ended.error is None:
            reason = tally.passed_at_end(limits, self._plan.total)
            self._ended = Farewell(AbortError(self._with_first_failure(reason)) if reason else None)

    def dismiss(self, at_once: bool) -> None:
        """Tells all workers to leave: `at_once`, or after the script's shutdown()."""
        for rank in self._members:
            if rank not in self._ranks.lost:
                self._order(rank, Leave(at_once, abrupt=bool(self._ranks.lost)))

    def see_off(self, seconds: float) -> None:
        """Waits for the workers to be gone; who has not answered after `seconds` (and some) is left behind."""
        pace, until = Pace(), time.monotonic() + seconds + FAREWELL_SECONDS
        while not self._ranks.gone >= set(self._members) and time.monotonic() < until:
            busy = self._look()
            pace.rest(self._descriptors(), busy)
        for rank in set(self._members) - self._ranks.gone:
            logger.warning("rank %d has not said goodbye", rank)
        self._lifeline.hold(math.inf)  # what is left to do takes as long as it takes

    def meanwhile(self, work: Callable[[], MpibatchError | None]) -> MpibatchError | None:
        """What `work`, in a thread, returns. The ranks would give up on a rank 0 that does but that."""
        pace = Pace()
        with ThreadPoolExecutor(1, "mpibatch-meanwhile") as pool:
            result = pool.submit(work)
            while not result.done():
                busy = self._look()
                pace.rest(self._descriptors(), busy)
        return result.result()

    def hear_seated(self, rank: int, seated: Seated) -> None:
        """Where a rank sits, or why it cannot; once all have said so it is made known."""
        self._seated[rank] = seated
        if seated.problem:
            self._ranks.gone.add(rank)
            if self._ended is None:
                self._ended = Farewell(UsageError(f"rank {rank} on {seated.host}: {seated.problem}"))
        if len(self._seated) == self._transport.size:
            self._all_seated([self._seated[rank] for rank in sorted(self._seated)])

    def progress(self) -> Progress:
        return Progress(self._first_failure, len(self._ranks.working))

    # -- events

    def _descriptors(self) -> list[int]:
        return self._worker.descriptors() if self._worker is not None else []

    def _look(self) -> bool:
        """Everything that has happened since the last look."""
        messages = self._transport.receive()
        for rank in self._transport.take_lost():
            self._lose(rank, "has died")
        if self._worker is not None:
            messages += [(0, report) for report in self._worker.poll()]
        for rank, message in messages:
            self._hearing.heard(rank)
            if rank in self._ranks.lost:
                continue  # disowned: what it did was given to others
            if isinstance(message, Signalled):
                self._signalled(message.number, rank)
            elif isinstance(message, Seated):
                self.hear_seated(rank, message)
            else:
                self._hear(rank, message)
        for number in self._signals.take():
            self._signalled(number, 0)
        self._beat()
        return bool(messages) or self._transport.sending

    def _hear(self, rank: int, report: Report | Answer) -> None:
        match report:
            case Results(records, data):
                self._results(rank, np.frombuffer(records, dtype=ATTEMPT_DTYPE), data)
            case SchemaSeen(id, schema):
                self._recorder.learn(id, schema)
            case Joined(seconds):
                logger.info("rank %d is ready after %.2f s", rank, seconds)
                self._ranks.working.add(rank)
                self._act(self._scheduler.joined(rank))
            case Returned(indices, asked):
                self._act(self._scheduler.returned(rank, indices, asked))
            case Stumbled(failure):
                self._refusal(failure, "is tried again")
            case Retired(failure):
                self._refusal(failure, "was the last of several tries: the rank retires")
                self._retire(rank)
            case Gone():
                self._ranks.gone.add(rank)
            case Beat() | Answer():  # an answer that planning has not waited for
                pass

    def _results(self, rank: int, records: "np.ndarray[tuple[int], np.dtype[np.void]]", data: bytes) -> None:
        self._attempts += len(records)
        failures = self._recorder.note(rank, records, data)
        if failures:
            self._note_first(failures[0])
        final, actions = self._scheduler.attempts(rank, records)
        self._recorder.accept(records, data, final)
        if self._recorder.surplus != UNSEEN and not self._warned_of_surplus:
            self._warned_of_surplus = True
            self._tell(
                f"warning: run() returned more rows than items for mini-batch {self._recorder.surplus} (and maybe "
                "others); all rows are kept"
            )
        self._act(actions)
        fatal = next((failure for failure in failures if failure.fatal), None)
        if fatal is not None:
            self._ended = Farewell(AbortError(fatal.error))

    def _note_first(self, failure: Failure) -> None:
        if self._first_failure is None:
            self._first_failure = failure
            self._tell(f"first failure: {failure.error}")

    def _assemble(self) -> bool:
        """Some more of the output; returns whether there is still more."""
        more, refused = self._recorder.assemble()
        for one in refused:
            self._note_first(one.failure)
            self._act(self._scheduler.reject(one.items))
        return more

    def _refusal(self, failure: Failure, what_next: str) -> None:
        if self._first_refusal is None:
            self._first_refusal = failure
            self._tell(f"rank {failure.rank} on {failure.host}: {failure.error}; it {what_next}")
        logger.warning("rank %d: %s; it %s\n%s", failure.rank, failure.error, what_next, failure.traceback)
        self._recorder.note_failure(failure)

    def _retire(self, rank: int) -> None:
        self._ranks.retired.add(rank)
        self._ranks.working.discard(rank)
        self._act(self._scheduler.left(rank))
        self._is_anybody_left()

    def _is_anybody_left(self) -> None:
        if self._ended is None and set(self._members) <= self._ranks.retired | self._ranks.lost:
            if self._first_refusal is not None:
                self._ended = Farewell(AbortError(_nobody_left(self._first_refusal)))
            else:
                self._ended = Farewell(StoppedEarly("every rank that works was lost"))

    def _lose(self, rank: int, how: str) -> None:
        """A rank has died or is silent: what it holds goes to others, and nothing that it still says counts."""
        if rank in self._ranks.gone:
            return  # lost before, or it has left in order and MPI sees no more of it
        held = self._scheduler.held_by(rank)
        host = self._seated[rank].host if rank in self._seated else "its host"
        self._tell(f"rank {rank} on {host} {how}; its {len(held)} mini-batches go to others")
        logger.warning("rank %d on %s %s; it held %s", rank, host, how, held)
        self._ranks.lost.add(rank)
        self._ranks.gone.add(rank)
        self._ranks.working.discard(rank)
        self._hearing.forget(rank)
        self._recorder.count_lost(len(held))
        self._act(self._scheduler.left(rank))
        self._is_anybody_left()

    def _watch_ranks(self) -> None:
        for rank in self._hearing.silent(self._config.rank_timeout):
            self._lose(rank, f"has been silent for {self._config.rank_timeout:g} s")

    def _beat(self) -> None:
        """Rank 0 goes on: for the others, and for its own lookout."""
        waited_for = 2 * self._config.rank_timeout if self._transport.size > 1 else math.inf  # by the others
        self._lifeline.hold(waited_for)
        now = time.monotonic()
        if now - self._last_beat > BEAT_SECONDS:
            self._last_beat = now
            for rank in self._members:
                if rank and rank not in self._ranks.gone:
                    self._transport.send(rank, Beat())

    def _watch_walltime(self) -> None:
        longest = self._scheduler.window.longest
        if not self._walltime.allows(longest):
            self._stop(f"the allocation ends soon, and a mini-batch takes up to {longest:.3g} s", self._walltime.left())

    def _signalled(self, number: int, rank: int) -> None:
        self._stop(f"{signal.Signals(number).name} received by rank {rank}", self._config.grace)

    def _stop(self, why: str, grace: float | None) -> None:
        """No new grants; what runs gets `grace` seconds."""
        if self._stopped_by is None and self._ended is None:
            seconds = max(0.0, self._config.grace if grace is None else grace)
            self._stopped_by = why
            self._tell(f"{why}: running mini-batches get {seconds:.3g} s, then the run stops; it can be resumed")
            actions = self._scheduler.stop()
            for member in self._members:
                if member not in self._ranks.lost:
                    self._order(member, Drain(seconds))
            self._act(actions)

    # -- actions

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Grant(rank, first, count, tries, isolate):
                    if self.first_grant is None:
                        self.first_grant = time.monotonic()
                    self._order(
                        rank, Run(self._plan.descriptors(first, count), tries, self._scheduler.window.group, isolate)
                    )
                case Recall(rank, count):
                    self._order(rank, GiveBack(count))
                case Abort(reason):
                    self._ended = Farewell(AbortError(self._with_first_failure(reason)))
                case Finish():
                    self._ended = self._finish()

    def _finish(self) -> Farewell:
        return Farewell(StoppedEarly(self._stopped_by or "stopped") if self._scheduler.remaining else None)

    def _with_first_failure(self, reason: str) -> str:
        failure = self._first_failure
        if failure is None:
            return reason
        return f"{reason}. The first failure: {failure.error}" + ("\n" + failure.traceback.rstrip()) * bool(
            failure.traceback
        )

    def _order(self, rank: int, order: Order) -> None:
        if rank == 0:
            if self._worker is not None:  # else it found no place for one
                self._worker.handle(order)
        else:
            self._transport.send(rank, order)


def _nobody_left(failure: Failure) -> str:
    text = f"no rank is left to work. The first to fail, rank {failure.rank} on {failure.host}: {failure.error}"
    return f"{text}\n{failure.traceback.rstrip()}" if failure.traceback else text
