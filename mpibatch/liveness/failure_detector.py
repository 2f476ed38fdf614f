"""Which ranks are suspected to have failed, since nothing was heard of them for too long.

message from a rank --heartbeat--> FailureDetector --suspected--> ranks to be declared lost
"""

from collections.abc import Callable, Iterable

from mpibatch.liveness.clock import AwakeClock


class FailureDetector:
    """What one rank knows of others' lives.

    clock: seconds in which this process was awake; `suspected` asks it, so it is to be called often
    """

    def __init__(self, ranks: Iterable[int], clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or AwakeClock()
        self._last = dict.fromkeys(ranks, self._clock())

    def heartbeat(self, rank: int) -> None:
        """`rank` has sent something."""
        if rank in self._last:
            self._last[rank] = self._clock()

    def add(self, rank: int) -> None:
        """`rank` is expected to send something from now on."""
        self._last[rank] = self._clock()

    def remove(self, rank: int) -> None:
        """`rank` is not expected to send anything any more."""
        self._last.pop(rank, None)

    def suspected(self, seconds: float) -> list[int]:
        """Those of whom nothing was heard for more than `seconds`."""
        now = self._clock()
        return [rank for rank, last in self._last.items() if now - last > seconds]
