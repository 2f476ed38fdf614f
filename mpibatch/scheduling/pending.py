"""Mini-batches that nobody holds: those that came back first, in order, and then those that were never granted."""

import heapq
from collections import deque

import numpy as np
from numpy.typing import NDArray

from mpibatch.scheduling.actions import Grant
from mpibatch.scheduling.indices import spans


class Pending:
    """new: never granted, in order; tries: of each, the scheduler's own array

    isolate_items: of those that are to be run in parts, how many items they have
    """

    def __init__(self, new: NDArray[np.int64], tries: NDArray[np.uint8]) -> None:
        self.isolate_items: dict[int, int] = {}
        self._tries = tries
        self._new = deque(spans(new))
        self._new_count = len(new)
        self._requeued: list[int] = []

    def __len__(self) -> int:
        return self._new_count + len(self._requeued)

    def put_back(self, index: int) -> None:
        """It failed, was recalled, or its rank is gone."""
        heapq.heappush(self._requeued, index)

    def take(self, rank: int, room: int) -> Grant:
        """The next, up to `room` of them in a row, for `rank`; there have to be some."""
        return self._take_requeued(rank, room) if self._requeued else self._take_new(rank, room)

    def _take_requeued(self, rank: int, room: int) -> Grant:
        first = heapq.heappop(self._requeued)
        tries, isolate_items, count = int(self._tries[first]), self.isolate_items.get(first, 0), 1
        while count < room and not isolate_items and self._requeued and self._requeued[0] == first + count:
            if self._tries[first + count] != tries or first + count in self.isolate_items:
                break
            heapq.heappop(self._requeued)
            count += 1
        return Grant(rank, first, count, tries if isolate_items else tries + 1, isolate_items)

    def _take_new(self, rank: int, room: int) -> Grant:
        first, last = self._new.popleft()
        count = min(room, last - first)
        if first + count < last:
            self._new.appendleft((first + count, last))
        self._new_count -= count
        return Grant(rank, first, count, 1)
