"""When to stop because the allocation ends: early enough for what runs to finish and for the output to be closed."""

from collections.abc import Callable
from dataclasses import dataclass

# No mini-batch takes exactly as long as another, and a busy machine is late with everything
LONGER = 1.1
LATER_SECONDS = 2.0  # the question comes once a second


@dataclass(frozen=True, slots=True)
class Walltime:
    """end: of the allocation, seconds since the epoch, None for no limit; clock: like time.time;
    margin: seconds before the end in which the output is closed and ranks leave
    """

    end: float | None
    clock: Callable[[], float]
    margin: float

    def left(self) -> float | None:
        """Seconds that work may still go on; None for no limit."""
        return None if self.end is None else self.end - self.margin - self.clock()

    def allows(self, longest: float) -> bool:
        """Whether a mini-batch that takes as long as the longest of late, and a little longer, would still finish."""
        left = self.left()
        return left is None or left > longest * LONGER + LATER_SECONDS
