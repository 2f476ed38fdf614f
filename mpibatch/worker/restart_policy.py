"""When an executor is replaced because mini-batches fail in it, and which failures count as tries.

    attempt ended --on_attempt--> whether it counts      replace_due: the executor is to end, and a new one to start

A script's process may be spoiled (a device-side assert, exhausted descriptors, a broken connection in a global): from
then on every mini-batch fails in it. So what fails right after another has failed in the same process says nothing of
its data: it does not count, and is the first to run in a new process. Where new processes do not help, the data is at
fault: after `DISTINCT_FAILURES` mini-batches in a row that failed as the first of a new process ever more failures are
taken as they are before another process is tried, so that a job in which everything fails does not start a process for
each. Pure: the clock is handed in.
"""

from collections.abc import Callable

from mpibatch.config.choices import ExecutorRestart

DISTINCT_FAILURES = 12
FAILURES_GROWTH = 4
MOST_FAILURES = 4096
FREE_SECONDS = 10.0  # of starting executors anew that `auto` always spends
SHARE_OF_TIME = 0.1  # of the worker's time that it spends beyond


class RestartPolicy:
    """One worker's, for all its executors, one after another."""

    def __init__(self, setting: ExecutorRestart, clock: Callable[[], float]) -> None:
        self._setting = setting
        self._clock = clock
        self._began = clock()
        self._replaced_seconds = 0.0  # that starts after a replacement have taken
        self._start_seconds = 0.0  # that the last start took
        self._failed_first: set[int] = set()  # mini-batches that failed as the first of their executors, in a row
        self._allowed = 1  # failures in a row after which the executor is replaced
        self._row: list[int] = []  # mini-batches that failed in this executor since the last success
        self._first = True
        self._replaces = False
        self.replace_due = False

    def on_start(self) -> None:
        """A new executor starts."""
        self._replaces, self.replace_due = self.replace_due, False
        self._row.clear()
        self._first = True

    def on_ready(self, seconds: float) -> None:
        """It took `seconds` until its init() was done."""
        self._start_seconds = seconds
        if self._replaces:
            self._replaced_seconds += seconds

    @property
    def wants_clean(self) -> bool:
        """Whether a part of a mini-batch under isolation needs a new executor, since this one has failed something."""
        return bool(self._row) and not self._is_lenient and self._setting is not ExecutorRestart.NEVER

    def on_attempt(self, index: int, succeeded: bool) -> bool:
        """An attempt of mini-batch `index` has ended in this executor; returns whether it counts as a try."""
        first, self._first = self._first, False
        if first:
            self._judge_replacement(index, succeeded)
        if succeeded:
            self._row.clear()
            return True
        if self._setting is ExecutorRestart.NEVER:
            return True
        if self.replace_due:
            return False
        counts = len(self._row) < self._allowed if self._is_lenient else set(self._row) <= {index}
        self._row.append(index)
        self.replace_due = not counts or (not self._is_lenient and self._replaces_at_once())
        return counts

    @property
    def _is_lenient(self) -> bool:
        return self._allowed > 1

    def _judge_replacement(self, index: int, succeeded: bool) -> None:
        if succeeded:
            self._failed_first.clear()
            self._allowed = 1
            return
        self._failed_first.add(index)
        if len(self._failed_first) >= DISTINCT_FAILURES:
            self._allowed = min(self._allowed * FAILURES_GROWTH, MOST_FAILURES)

    def _replaces_at_once(self) -> bool:
        """Whether a single failure is enough."""
        if self._setting is ExecutorRestart.AUTO:
            allowed = max(FREE_SECONDS, SHARE_OF_TIME * (self._clock() - self._began))
            return self._replaced_seconds + self._start_seconds <= allowed
        return self._setting is ExecutorRestart.ON_FAILURE
