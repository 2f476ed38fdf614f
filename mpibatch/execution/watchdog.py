"""The watchdog: a thread that reads the slot of one executor and ends what overruns.

It acts whatever the executor or the rank's main thread is doing: a loop in Python, a sleep, a C call that holds the
GIL, an MPI call that blocks. Where its own clock has jumped (the machine was suspended, the rank stopped), deadlines
move by the gap.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mpibatch.execution.slot import Reading
from mpibatch.types import Phase

LONGEST_NAP = 0.25  # seconds
LOOK_SECONDS = 1.0
AT_WORK = (Phase.LOAD, Phase.RUN, Phase.ENCODE)
BETWEEN = (Phase.IDLE, Phase.SEND)  # the phases that have no limit of their own
GAP = 2.0  # a nap that took this much longer than asked was no nap of ours


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds."""

    init: float
    load: float
    run: float
    shutdown: float

    def of(self, phase: Phase) -> float | None:
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
class Overrun:
    """What was over its limit when the watchdog acted. first, last: the part of the mini-batch, as in the slot."""

    phase: Phase
    index: int
    first: int
    last: int
    limit: float

    def is_at(self, reading: Reading) -> bool:
        """Whether the executor is still at it: it may get past it in the moment between judgement and kill."""
        return (self.index, self.first, self.last) == (reading.index, reading.first, reading.last)

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
            Phase.SHUTDOWN: "the time it gets",
        }.get(self.phase, "load_timeout")
        return f"{what} took more than {setting}: {self.limit:g} s, and was ended"


class Deadlines:
    """The judgement alone: when is a reading over its limit. Pure; the thread below hands it the clock."""

    def __init__(self, limits: TimeLimits, started: float) -> None:
        self._limits = limits
        self._started = started  # START and INIT are counted from the start of the process
        self._gaps: list[tuple[float, float]] = []

    def gap(self, end: float, seconds: float) -> None:
        """Nothing ran for `seconds` until `end`: what was under way then may take as much longer."""
        self._gaps.append((end, seconds))

    def judge(self, reading: Reading, now: float) -> Overrun | float:
        """The overrun, or the seconds until there could be one."""
        limit = self._limits.of(reading.phase)
        if limit is None:
            return LONGEST_NAP
        since = self._started if reading.phase in (Phase.START, Phase.INIT) else reading.since
        self._gaps = [gap for gap in self._gaps if gap[0] > since]
        left = since + limit + sum(seconds for _, seconds in self._gaps) - now
        return left if left > 0 else Overrun(reading.phase, reading.index, reading.first, reading.last, limit)


class Attention:
    """Whether an executor that is at no mini-batch leaves what it was asked for untouched for longer than `limit`.

    Between mini-batches no phase has a limit: there may be nothing to do, or the worker does not read. One that was
    stopped by a signal just there would keep its mini-batches for ever, or the place of its successor.
    """

    def __init__(self, limit: float, now: float) -> None:
        self._limit = limit
        self._looked = now
        self._seen: Reading | None = None
        self._seen_at = now

    def is_over(self, read: Callable[[], Reading | None], asked: bool, now: float) -> bool:
        """To be called by the loop that reads the executor's results; looks once a second.

        asked: there are mini-batches for it to take, or it is to end
        """
        gap = now - self._looked
        if gap < LOOK_SECONDS:
            return False
        self._looked = now
        reading = read() if asked else None
        if reading is None or reading.phase not in BETWEEN or reading != self._seen or gap > GAP:
            self._seen, self._seen_at = reading, now
        return reading is not None and now - self._seen_at > self._limit


class Watchdog:
    """The thread. `act` is called once, in it, with what was over its limit."""

    def __init__(
        self, read: Callable[[], Reading | None], limits: TimeLimits, started: float, act: Callable[[Overrun], None]
    ) -> None:
        self._read = read
        self._deadlines = Deadlines(limits, started)
        self._act = act
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mpibatch-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        nap = LONGEST_NAP
        before = time.monotonic()
        while not self._stop.wait(nap):
            now = time.monotonic()
            if now - before > nap + GAP:
                self._deadlines.gap(now, now - before - nap)
            before = now
            reading = self._read()
            if reading is None:
                nap = 0.01
                continue
            verdict = self._deadlines.judge(reading, now)
            if isinstance(verdict, Overrun):
                self._act(verdict)
                return
            nap = min(LONGEST_NAP, max(verdict, 0.001))
