"""A deadman switch for a rank: it is killed when its launcher has ended, and when it does not arm the switch in time.

rank --arm(seconds)--> deadman process (deadman_process.py) --SIGKILL--> rank, unless armed again within `seconds`
"""

import contextlib
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mpibatch.liveness.helper_process import helper_command

RESEND_SECONDS = 2.0


class DeadmanSwitch:
    """One rank's.

    stream:  descriptor of what the deadman process reads; never closed, since this process may be stopped at its end
    clock:   gives seconds, as time.monotonic does
    process: kept only because nobody waits for it
    """

    def __init__(
        self,
        stream: int,
        clock: Callable[[], float] = time.monotonic,
        process: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        os.set_blocking(stream, False)
        self._stream = stream
        self._process = process
        self._clock = clock
        self._limit, self._last_sent = (math.inf, ""), -math.inf

    @classmethod
    def start(cls, max_stopped_seconds: int) -> "DeadmanSwitch":
        """With a deadman process. To be called first: what else a rank needs takes long to import.

        max_stopped_seconds: for which the process may be stopped (SIGSTOP), whatever `arm` allows
        """
        reading, writing = os.pipe()
        with open(reading, "rb") as stdin:
            process = subprocess.Popen(
                [*helper_command("deadman_process"), *map(str, (os.getpid(), os.getppid(), max_stopped_seconds))],
                stdin=stdin,
                stdout=subprocess.DEVNULL,  # mpirun waits for the ends of what a rank writes to
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return cls(writing, process=process)

    def arm(self, seconds: float, timer: str) -> None:
        """This process is killed, in the name of `timer`, unless it calls this again within `seconds`.

        To be called at every turn of a loop: an unchanged limit is sent only every RESEND_SECONDS.
        """
        now = self._clock()
        if (seconds, timer) == self._limit and now < self._last_sent + min(RESEND_SECONDS, seconds / 8):
            return
        self._limit, self._last_sent = (seconds, timer), now
        with contextlib.suppress(OSError):  # somebody has killed or stopped the deadman process
            os.write(self._stream, f"{seconds} {timer}\n".encode())

    def disarm(self) -> None:
        """It may take as long as it takes, until `arm` is called again."""
        self.arm(math.inf, "none")

    @contextmanager
    def armed(self, seconds: float, timer: str) -> Iterator[None]:
        """For what all ranks do together: where one dies or is stopped the others wait for it."""
        self.arm(seconds, timer)
        yield  # after an exception the limit stays: all that is left to do is to end
        self.disarm()
