"""How often a line of progress is due where nobody looks on: after a second, and then more and more seldom."""

import time
from collections.abc import Callable

STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)  # seconds; the last goes on for ever


class GrowingInterval:
    """Asked about once a second. clock: seconds from anywhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._step = 0

    def is_over(self) -> bool:
        """Whether the next line is due; then the next interval begins."""
        now = self._clock()
        if now - self._last < STEPS[min(self._step, len(STEPS) - 1)]:
            return False
        self._last, self._step = now, self._step + 1
        return True
