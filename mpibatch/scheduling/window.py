"""How many mini-batches a worker holds at once: many when they are short, one running and one ahead when they are long.

The aim is a fixed stretch of work in flight at each worker, by how long it takes itself: long enough to hide a round
trip to rank 0, and short enough to share what is left at the end, where the share shrinks as in guided self-scheduling
(Polychronopoulos and Kuck, 1987) and by the worker's speed.
"""

from collections import deque
from dataclasses import dataclass, field

IN_FLIGHT_SECONDS = 0.1
LONGEST_WINDOW = 4096
PACKET_SECONDS = 0.02
MAX_PACKET_SIZE = 256
SHORT_SECONDS = 0.004  # longer ones go one by one
PACKETS_A_GRANT = 4  # so that some of it can be recalled
RECENT = 256  # messages; where so many tell of failures alone, failures are all there is to learn from
LONG_RUNNING = 2  # one running, one ahead
SHORTEST_SECONDS = 1e-6


@dataclass(slots=True)
class MovingMean:
    """How long a mini-batch takes, in executor seconds, as a moving average over what has been seen."""

    seconds: float = 0.0
    seen: int = 0

    def observe(self, seconds: float, count: int) -> None:
        """`count` mini-batches took `seconds` together."""
        if count:
            self.seen += count
            weight = max(min(count, self.seen) / self.seen, min(0.5, count / 64))
            self.seconds += (seconds / count - self.seconds) * weight


@dataclass(slots=True)
class GrantWindow:
    """Learns how long a mini-batch takes anywhere; what one worker takes itself is handed in, as its `own` mean."""

    anywhere: MovingMean = field(default_factory=MovingMean)
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def longest_recent(self) -> float:
        """Seconds of the longest mini-batch of late: what a new one may take."""
        return max(self._recent, default=0.0)

    def observe(self, seconds: float, count: int, longest: float = 0.0) -> None:
        """`count` mini-batches took `seconds` together, the longest of them `longest`."""
        self._recent.append(longest)
        self.anywhere.observe(seconds, count)

    def packet_size(self, granted: int, own: MovingMean) -> int:
        """How many of `granted` may be handed to an executor at once, beyond recall: a fifth of the work in flight."""
        mean = self._mean_of(own)
        if not mean.seen or mean.seconds > SHORT_SECONDS:
            return 1
        fitting = int(PACKET_SECONDS / max(mean.seconds, SHORTEST_SECONDS))
        return max(1, min(fitting, granted // PACKETS_A_GRANT, MAX_PACKET_SIZE))

    def grant_size(self, pending: int, workers: int, own: MovingMean) -> int:
        """How many one worker may hold while `pending` are not granted yet and `workers` share them."""
        mean = self._mean_of(own)
        if not mean.seen and len(self._recent) < RECENT:
            return LONG_RUNNING
        expected = max(mean.seconds if mean.seen else self.longest_recent, SHORTEST_SECONDS)
        speed = min(1.0, self.anywhere.seconds / expected) if mean.seen else 1.0
        share = -(-int(pending * speed) // (2 * max(workers, 1)))
        return max(LONG_RUNNING, min(int(IN_FLIGHT_SECONDS / expected), share, LONGEST_WINDOW))

    def _mean_of(self, own: MovingMean) -> MovingMean:
        """Of a worker that has not done any yet that of all."""
        return own if own.seen else self.anywhere
