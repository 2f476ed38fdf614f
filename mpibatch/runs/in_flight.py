"""What earlier incarnations had in flight when they died, and what is suspected of having ended them.

results log: GRANTED, RESULTS, LOST, ENDED --> InFlight --> suspects (scheduling/suspects.py) for the scheduler
"""

import numpy as np
from numpy.typing import NDArray

from mpibatch.scheduling.suspects import Suspicion, after_job_death, after_lost_rank

GRANT_DTYPE = np.dtype([("rank", "<i4"), ("alone", "<u4"), ("first", "<i8"), ("count", "<i8")])
"""The body of a GRANTED record: one entry a grant, in the order in which they were sent."""
NOBODY = -1


class InFlight:
    """Replays the logs of a run of `total` mini-batches; suspects: those that are not final, by number."""

    def __init__(self, total: int) -> None:
        self.suspects: dict[int, Suspicion] = {}
        self._holder = np.full(total, NOBODY, dtype=np.int32)
        self._alone: set[int] = set()
        self._fruitless = True  # the incarnation, so far

    def granted(self, grants: NDArray[np.void]) -> None:
        """Raises IndexError where they are of another run."""
        for rank, alone, first, count in grants.tolist():
            self._holder[first : first + count] = rank
            if alone:
                self._alone.add(first)
            elif self.suspects:
                self._cleared(range(first, first + count))

    def ended_attempts(self, indices: NDArray[np.int64]) -> None:
        """They are final."""
        self._holder[indices] = NOBODY
        self._fruitless = False
        if self.suspects:
            self._cleared(indices.tolist())

    def lost(self, rank: int) -> None:
        """The incarnation has noticed that a rank was lost."""
        held = np.flatnonzero(self._holder == rank)
        self._holder[held] = NOBODY
        self.suspects.update(after_lost_rank(self.suspects, held.tolist(), self._alone))
        self._alone.difference_update(held.tolist())

    def ended(self) -> None:
        """The incarnation has ended in order: what was in flight was given back."""
        self._holder.fill(NOBODY)
        self._alone.clear()
        self._fruitless = True

    def died(self) -> None:
        """The log has nothing more: where the incarnation has not ended in order, it has died."""
        held = np.flatnonzero(self._holder != NOBODY).tolist()
        self.suspects.update(after_job_death(self.suspects, held, self._alone, self._fruitless))
        self.ended()

    def _cleared(self, indices: "range | list[int]") -> None:
        for index in indices if len(indices) < len(self.suspects) else list(self.suspects):
            if index in indices:
                self.suspects.pop(index, None)
                self._alone.discard(index)
