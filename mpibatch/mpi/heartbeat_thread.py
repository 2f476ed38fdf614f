"""Heartbeats from a thread of their own: they go on while the rank's loop waits for a file system.

    loop --turned--> HeartbeatThread --Heartbeat--> other ranks
                                     --arm--> deadman process

A file system that stalls for minutes delays a run and ends nothing. A loop that never comes back is found all the same:
one that has not turned for `loop_silence` has no heartbeats any more.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mpibatch.liveness.clock import AwakeClock
from mpibatch.liveness.timers import HEARTBEAT_SECONDS, LOOP_SILENCE_SECONDS

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5


class HeartbeatThread:
    """One rank's.

    arm:  arms the deadman switch
    send: sends a heartbeat to whoever waits for one
    rank_timeout: seconds of silence after which a rank is lost: a heartbeat comes several times as often
    """

    def __init__(self, arm: Callable[[], None], send: Callable[[], None], rank_timeout: float) -> None:
        self._every = min(HEARTBEAT_SECONDS, rank_timeout / 4)
        self._arm = arm
        self._send = send
        self._stop = threading.Event()
        self._clock = AwakeClock(nap=TICK_SECONDS)
        self._turned = self._clock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """While it lasts, or until `stop`, heartbeats are sent."""
        self._turned = self._clock()
        self._thread = threading.Thread(target=self._run, name="mpibatch-heartbeat", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            self.stop()

    def turned(self) -> None:
        """The loop goes on: to be called at every turn of it."""
        self._turned = self._clock()

    def stop(self) -> None:
        """Nobody waits for heartbeats any more. Does nothing where that was said before."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        last = 0.0
        while not self._stop.is_set():
            if self._clock() - self._turned > LOOP_SILENCE_SECONDS:
                logger.error("this rank's loop has not come back for %g s (loop_silence)", LOOP_SILENCE_SECONDS)
                return
            self._arm()
            if time.monotonic() - last > self._every:
                last = time.monotonic()
                self._send()
            self._stop.wait(min(TICK_SECONDS, self._every))
