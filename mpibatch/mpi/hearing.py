"""Who has been heard of, and who has been silent for too long. A gap in one's own time is no silence of others."""

import time
from collections.abc import Callable, Iterable

GAP_SECONDS = 2.0  # between two questions: a loop that runs asks far more often


class Hearing:
    """What a rank knows of others' lives. `clock` gives seconds, as time.monotonic does."""

    def __init__(self, ranks: Iterable[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked = clock()
        self._last = dict.fromkeys(ranks, self._asked)

    def heard(self, rank: int) -> None:
        """`rank` has sent something."""
        if rank in self._last:
            self._last[rank] = self._clock()

    def forget(self, rank: int) -> None:
        """`rank` is not expected to speak any more."""
        self._last.pop(rank, None)

    def silent(self, seconds: float) -> list[int]:
        """Those not heard of for so long; all get a respite where nobody asked for a while (we were stopped)."""
        now = self._clock()
        gap, self._asked = now - self._asked, now
        if gap > GAP_SECONDS:
            self._last = {rank: last + gap for rank, last in self._last.items()}
        return [rank for rank, last in self._last.items() if now - last > seconds]
