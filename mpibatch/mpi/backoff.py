"""How long a loop sleeps between two polls: MPI can only be polled, and a blocking receive would spin a core.

With many short mini-batches it waits a fixed moment, so that messages are handled many at a time; idle it backs off.
Data from the rank's own executor wakes it at once.
"""

import select
import time
from collections.abc import Sequence

COALESCE_SECONDS = 0.002
SHORTEST_SECONDS = 0.0005
LONGEST_SECONDS = 0.01
COALESCE_FROM = 8  # attempts in one poll


class Backoff:
    """One loop's."""

    def __init__(self) -> None:
        self._seconds = SHORTEST_SECONDS

    def wait(self, fds: Sequence[int], busy: bool, attempts: int = 0) -> None:
        """After one poll. fds: wake it; busy: something was done; attempts: how many results it brought."""
        if attempts >= COALESCE_FROM:
            time.sleep(COALESCE_SECONDS)
            self._seconds = SHORTEST_SECONDS
            return
        self._seconds = SHORTEST_SECONDS if busy else min(self._seconds * 1.5, LONGEST_SECONDS)
        poller = select.poll()  # select(2) ends at descriptor 1024
        for fd in fds:
            poller.register(fd, select.POLLIN)
        poller.poll(self._seconds * 1000)
