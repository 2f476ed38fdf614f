"""Time in which this process was awake.

A machine that is suspended, or a process that is stopped, receives nothing: that is no silence of others, and what was
under way then may take as much longer. So whoever judges silences asks an AwakeClock, often; a step between two
questions that is far longer than any loop here takes is a suspension, and does not count.

Standard library only: the deadman process imports this with `python -I -S`.
"""

import time
from collections.abc import Callable

SUSPENSION_SECONDS = 2.0
"""A step between two questions that is longer than this, and than what the asker meant to sleep, is a suspension."""


class AwakeClock:
    """Seconds that do not pass while the process is suspended, as a function without arguments.

    clock: gives seconds, as time.monotonic does
    nap:   how long the asker may sleep between two questions on purpose, seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, nap: float = 0.0) -> None:
        self._clock = clock
        self._longest_step = nap + SUSPENSION_SECONDS
        self._asked = clock()
        self.suspended = 0.0
        """Seconds of all suspensions so far."""

    def __call__(self) -> float:
        now = self._clock()
        step, self._asked = now - self._asked, now
        if step > self._longest_step:
            self.suspended += step
        return now - self.suspended
