"""Signals that ask a runner to stop, noticed also while another handler is at work.

    SIGINT, SIGTERM, SIGUSR1 --wakeup descriptor--> StopRequests.received

`launching.run` has handlers of its own while ranks run; the descriptor gets the number of every signal nevertheless, so
that one which came when a step had just ended is not lost.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mpibatch.liveness.stop_signals import STOP_SIGNALS

POLL_SECONDS = 0.5


class StopRequests:
    """What has come so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._received: list[int] = []

    @property
    def received(self) -> list[int]:
        """Numbers of the signals, in the order in which they came."""
        with suppress(BlockingIOError):
            while data := os.read(self._descriptor, 4096):
                self._received += [number for number in data if number in STOP_SIGNALS]
        return self._received


@contextmanager
def stop_requests(cancel: Path) -> Iterator[StopRequests]:
    """While it lasts, signals are noted and do nothing else. In the main thread.

    cancel: a file whose appearance is taken for a SIGTERM
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    handlers = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
    descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(cancel, ended), name="mpibatch-cancel", daemon=True)
    watch.start()
    try:
        yield StopRequests(reading)
    finally:
        ended.set()
        watch.join()
        signal.set_wakeup_fd(descriptor)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _watch(cancel: Path, ended: threading.Event) -> None:
    while not ended.wait(POLL_SECONDS):
        if cancel.exists():
            os.kill(os.getpid(), signal.SIGTERM)
            return
