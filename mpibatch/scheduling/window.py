"""How many mini-batches a worker holds at once: many when they are short, one running and one ahead when they are long.

The aim is a fixed stretch of work in flight, long enough to hide a round trip to rank 0 and short enough to share what
is left at the end; near the end the share shrinks as in guided self-scheduling (Polychronopoulos and Kuck, 1987).
"""

from collections import deque
from dataclasses import dataclass, field

IN_FLIGHT_SECONDS = 0.1
LONGEST_WINDOW = 4096
GROUP_SECONDS = 0.001
LARGEST_GROUP = 32
RECENT = 256  # messages
LONG_RUNNING = 2  # one running, one ahead


@dataclass(slots=True)
class Window:
    """Learns how long a mini-batch takes, in executor seconds, as a moving average over what has been seen."""

    mean: float = 0.0
    seen: int = 0
    _longest: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def longest(self) -> float:
        """Seconds of the longest mini-batch of late: what a new one may take."""
        return max(self._longest, default=0.0)

    def learn(self, seconds: float, count: int, longest: float = 0.0) -> None:
        """`count` mini-batches took `seconds` together, the longest of them `longest`."""
        self._longest.append(longest)
        if count:
            self.seen += count
            weight = max(min(count, self.seen) / self.seen, min(0.5, count / 64))
            self.mean += (seconds / count - self.mean) * weight

    @property
    def group(self) -> int:
        """How many may be handed to an executor at once, beyond recall: no more than a millisecond of work."""
        return max(1, min(int(GROUP_SECONDS / max(self.mean, 1e-6)), LARGEST_GROUP)) if self.seen else 1

    def size(self, pending: int, workers: int) -> int:
        """How many one worker may hold while `pending` are not granted yet and `workers` share them."""
        if not self.seen:
            return LONG_RUNNING
        wanted = int(IN_FLIGHT_SECONDS / max(self.mean, 1e-6))
        share = -(-pending // (2 * max(workers, 1)))
        return max(LONG_RUNNING, min(wanted, share, LONGEST_WINDOW))
