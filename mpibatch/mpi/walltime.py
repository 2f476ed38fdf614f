"""When to stop because the allocation ends: early enough for what runs to finish and for the output to be closed."""

from collections.abc import Callable
from dataclasses import dataclass

MARGIN_SECONDS = 10.0  # to close the output, and for ranks to leave
ASSEMBLY_BYTES_PER_SECOND = 50e6  # a cautious rate for a file that is made at the end


@dataclass(frozen=True, slots=True)
class Walltime:
    """end: of the allocation, seconds since the epoch, None for no limit; clock: like time.time."""

    end: float | None
    clock: Callable[[], float]

    def left(self) -> float | None:
        """Seconds that work may still go on; None for no limit."""
        return None if self.end is None else self.end - MARGIN_SECONDS - self.clock()

    def allows(self, longest: float) -> bool:
        """Whether a mini-batch that takes as long as the longest of late would still finish."""
        left = self.left()
        return left is None or left > longest

    def allows_assembly(self, size: int) -> bool:
        """Whether a file of about `size` bytes can still be made."""
        return self.end is None or self.end - self.clock() > size / ASSEMBLY_BYTES_PER_SECOND
