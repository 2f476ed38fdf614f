"""What follows where an executor did not start, or ended before it had done anything: another try, or the rank retires.

    no process (OSError) --on_not_started--> passing reason: StartFailed, once, and `due` after a pause that grows
                                             else, or after START_PATIENCE_SECONDS: WorkerRetired
    ended by itself      --on_ended--------> StartFailed, and after MAX_FAILED_STARTS in a row WorkerRetired

Pure: the clock is handed in.
"""

import errno
from collections.abc import Callable
from dataclasses import replace

from mpibatch.attempts import Failure
from mpibatch.liveness.timers import START_PATIENCE_SECONDS
from mpibatch.worker import diagnosis
from mpibatch.worker.messages import StartFailed, WorkerRetired

MAX_FAILED_STARTS = 3  # in a row, before the rank retires
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0  # seconds
PASSING = frozenset(
    {
        # processes, memory, descriptors: others on the node have them for now
        errno.EAGAIN,
        errno.ENOMEM,
        errno.ENFILE,
        errno.EMFILE,
        errno.ENOBUFS,
        # a file server is away
        errno.EIO,
        errno.EBUSY,
        errno.ESTALE,
        errno.EREMOTEIO,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOTCONN,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ESHUTDOWN,
    }
)


class StartPolicy:
    """One worker's, for all its executors, one after another.

    due: when the next is to be started, by the clock; None: that waits for nothing
    """

    def __init__(self, rank: int, host: str, clock: Callable[[], float]) -> None:
        self._rank = rank
        self._host = host
        self._clock = clock
        self._failed = 0  # executors in a row that ended before they had done anything
        self._pause = FIRST_PAUSE
        self._first_refused: float | None = None
        self.due: float | None = None

    def is_due(self) -> bool:
        return self.due is not None and self._clock() >= self.due

    def on_started(self) -> None:
        """There is a process."""
        self._pause, self._first_refused, self.due = FIRST_PAUSE, None, None

    def on_worked(self) -> None:
        """An attempt has ended in it."""
        self._failed = 0

    def on_ended(self, failure: Failure) -> StartFailed | WorkerRetired:
        """It has ended, and no mini-batch is to blame: what is reported."""
        self._failed += 1
        return WorkerRetired(failure) if self._failed >= MAX_FAILED_STARTS else StartFailed(failure)

    def on_not_started(self, error: OSError) -> list[StartFailed | WorkerRetired]:
        """There is no process, since `error`: what is reported; nothing where that was said before."""
        now = self._clock()
        first, self.due = self._first_refused is None, None
        self._first_refused = now if self._first_refused is None else self._first_refused
        failure = diagnosis.not_started(error, self._rank, self._host)
        if error.errno not in PASSING:
            return [WorkerRetired(failure)]
        if now - self._first_refused > START_PATIENCE_SECONDS:
            tried = f"{failure.error}, tried again for {START_PATIENCE_SECONDS:g} s (start_patience)"
            return [WorkerRetired(replace(failure, error=tried))]
        self.due, self._pause = now + self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return [StartFailed(failure)] if first else []
