"""The watchdog: a thread that reads the status block of one executor and ends what takes too long.

It acts whatever the executor or the rank's main thread is doing: a loop in Python, a sleep, a C call that holds the
GIL, an MPI call that blocks. Where its own clock has jumped (the machine was suspended, the rank stopped), deadlines
move by the gap.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from mpibatch.config.schema import RunConfig
from mpibatch.executor.status_block import ExecutorStatus
from mpibatch.liveness.clock import SUSPENSION_SECONDS, AwakeClock
from mpibatch.liveness.timers import SHUTDOWN_SECONDS
from mpibatch.types import Phase

MAX_SLEEP_SECONDS = 0.25  # seconds
CHECK_SECONDS = 1.0
TASK_PHASES = (Phase.LOAD, Phase.RUN, Phase.ENCODE)
UNTIMED_PHASES = (Phase.IDLE, Phase.SEND)  # the phases that have no limit of their own


@dataclass(frozen=True, slots=True)
class PhaseTimeouts:
    """Seconds."""

    init: float
    load: float
    run: float
    shutdown: float

    @classmethod
    def from_config(cls, config: RunConfig) -> Self:
        return cls(config.init_timeout, config.load_timeout, config.run_invocation_timeout, SHUTDOWN_SECONDS)

    def for_phase(self, phase: Phase) -> float | None:
        """The limit of a phase; None where the script is not at work. START and INIT share theirs."""
        return {
            Phase.START: self.init,
            Phase.INIT: self.init,
            Phase.LOAD: self.load,
            Phase.ENCODE: self.load,
            Phase.RUN: self.run,
            Phase.SHUTDOWN: self.shutdown,
        }.get(phase)


@dataclass(frozen=True, slots=True)
class PhaseExpired:
    """What was over its limit when the watchdog acted. first, last: part of the mini-batch, from the status block."""

    phase: Phase
    index: int
    first: int
    last: int
    limit: float

    def is_at(self, status: ExecutorStatus) -> bool:
        """Whether the executor is still at it: it may get past it in the moment between judgement and kill."""
        return (self.index, self.first, self.last) == (status.index, status.first, status.last)

    def __str__(self) -> str:
        what = {
            Phase.START: "the import of the entry script and init()",
            Phase.INIT: "init()",
            Phase.LOAD: f"loading mini-batch {self.index}",
            Phase.RUN: f"run() of mini-batch {self.index}",
            Phase.ENCODE: f"encoding the rows of mini-batch {self.index}",
            Phase.SHUTDOWN: "shutdown()",
        }[self.phase]
        setting = {
            Phase.START: "init_timeout",
            Phase.INIT: "init_timeout",
            Phase.RUN: "run_invocation_timeout",
            Phase.SHUTDOWN: "shutdown_timeout",
        }.get(self.phase, "load_timeout")
        return f"{what} took more than {setting}: {self.limit:g} s, and was ended"


class Deadlines:
    """The judgement alone: when is a phase over its limit. Pure; the thread below hands it the clock."""

    def __init__(self, timeouts: PhaseTimeouts, started: float) -> None:
        self._timeouts = timeouts
        self._started = started  # START and INIT are counted from the start of the process
        self._suspensions: list[tuple[float, float]] = []

    def add_suspension(self, end: float, seconds: float) -> None:
        """Nothing ran for `seconds` until `end`: what was under way then may take as much longer."""
        self._suspensions.append((end, seconds))

    def check(self, status: ExecutorStatus, now: float) -> PhaseExpired | float:
        """The overrun, or the seconds until there could be one."""
        limit = self._timeouts.for_phase(status.phase)
        if limit is None:
            return MAX_SLEEP_SECONDS
        since = self._started if status.phase in (Phase.START, Phase.INIT) else status.since
        self._suspensions = [suspension for suspension in self._suspensions if suspension[0] > since]
        left = since + limit + sum(seconds for _, seconds in self._suspensions) - now
        return left if left > 0 else PhaseExpired(status.phase, status.index, status.first, status.last, limit)


class StallDetector:
    """Whether an executor that is at no mini-batch leaves what it was asked for untouched for longer than `limit`.

    Between mini-batches no phase has a limit: there may be nothing to do, or the worker does not read. One that was
    stopped by a signal just there would keep its mini-batches for ever, or the place of its successor.
    """

    def __init__(self, limit: float, now: float) -> None:
        self._limit = limit
        self.reason = f"it has taken up nothing for {limit:g} s; was it stopped by a signal? (unresponsive_executor)"
        self._checked = now
        self._seen: ExecutorStatus | None = None
        self._seen_at = now

    def expired(self, read: Callable[[], ExecutorStatus | None], has_work: bool, now: float) -> bool:
        """To be called by the loop that reads the executor's results; looks once a second.

        has_work: there are mini-batches for it to take, or it is to end
        """
        since_check = now - self._checked
        if since_check < CHECK_SECONDS:
            return False
        self._checked = now
        status = read() if has_work else None
        if (
            status is None
            or status.phase not in UNTIMED_PHASES
            or status != self._seen
            or since_check > CHECK_SECONDS + SUSPENSION_SECONDS
        ):
            self._seen, self._seen_at = status, now
        return status is not None and now - self._seen_at > self._limit


class Watchdog:
    """The thread. `on_expired` is called once, in it, with what was over its limit."""

    def __init__(
        self,
        read: Callable[[], ExecutorStatus | None],
        timeouts: PhaseTimeouts,
        started: float,
        on_expired: Callable[[PhaseExpired], None],
    ) -> None:
        self._read = read
        self._deadlines = Deadlines(timeouts, started)
        self._on_expired = on_expired
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mpibatch-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        sleep_seconds = MAX_SLEEP_SECONDS
        clock, suspended = AwakeClock(nap=MAX_SLEEP_SECONDS), 0.0
        while not self._stop.wait(sleep_seconds):
            clock()
            now = time.monotonic()
            if clock.suspended > suspended:
                self._deadlines.add_suspension(now, clock.suspended - suspended)
                suspended = clock.suspended
            status = self._read()
            if status is None:
                sleep_seconds = 0.01
                continue
            verdict = self._deadlines.check(status, now)
            if isinstance(verdict, PhaseExpired):
                self._on_expired(verdict)
                return
            sleep_seconds = min(MAX_SLEEP_SECONDS, max(verdict, 0.001))
