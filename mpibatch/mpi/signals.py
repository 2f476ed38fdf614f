"""The signals that ask a run to stop: noted by a handler, read by the rank's loop."""

import os
import signal
from types import FrameType

from mpibatch.liveness.stop_signals import STOP_SIGNALS


class StopSignals:
    """Notes the signals that ask the run to stop, from construction on. One per process."""

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._interrupts = 0
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, STOP_SIGNALS
        )  # mpirun is started with some blocked, and may hand that on

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._seen.append(number)
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            os._exit(128 + signal.SIGINT)  # the user means it; the supervisor sees its socket close

    def drain(self) -> list[int]:
        seen, self._seen[:] = list(self._seen), []
        return seen
