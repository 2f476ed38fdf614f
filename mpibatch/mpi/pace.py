"""How long a loop sleeps between two looks: MPI can only be polled, and a blocking receive would spin a core.

Busy with many short mini-batches it rests a moment on purpose, so that what arrives is handled in groups; idle it backs
off. What the own executor says wakes it at once.
"""

import select
import time
from collections.abc import Sequence

REST_WHEN_DENSE = 0.002  # seconds
SHORTEST = 0.0005
LONGEST = 0.01
DENSE = 8  # attempts in one look


class Pace:
    def __init__(self) -> None:
        self._nap = SHORTEST

    def rest(self, descriptors: Sequence[int], busy: bool, attempts: int = 0) -> None:
        """After one look. busy: something was done; attempts: how many results it brought."""
        if attempts >= DENSE:
            time.sleep(REST_WHEN_DENSE)
            self._nap = SHORTEST
            return
        self._nap = SHORTEST if busy else min(self._nap * 1.5, LONGEST)
        poller = select.poll()  # select(2) ends at descriptor 1024
        for descriptor in descriptors:
            poller.register(descriptor, select.POLLIN)
        poller.poll(self._nap * 1000)
