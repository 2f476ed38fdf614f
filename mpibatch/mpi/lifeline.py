"""A rank's hold on life: it ends with what has started it, and when it has not shown for too long that it goes on.

rank --hold(seconds)--> lookout (a process of its own, see there) --SIGKILL--> rank, if it is not heard of again
"""

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TELL_SECONDS = 2.0
LOOKOUT = str(Path(__file__).with_name("lookout.py"))


class Lifeline:
    """One rank's.

    stream:  descriptor of what the lookout reads; never closed, since the process may be stopped in its last moment
    clock:   gives seconds, as time.monotonic does
    lookout: kept only because nobody waits for it
    """

    def __init__(
        self,
        stream: int,
        clock: Callable[[], float] = time.monotonic,
        lookout: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        os.set_blocking(stream, False)
        self._stream = stream
        self._lookout = lookout
        self._clock = clock
        self._limit, self._told = math.inf, -math.inf

    @classmethod
    def to_parent(cls, longest_stop: int) -> "Lifeline":
        """With a lookout. To be made first: what else a rank needs takes long to import.

        longest_stop: seconds for which the process may be stopped, whatever `hold` allows
        """
        reading, writing = os.pipe()
        with open(reading, "rb") as ears:
            lookout = subprocess.Popen(
                [sys.executable, "-I", "-S", LOOKOUT, *map(str, (os.getpid(), os.getppid(), longest_stop))],
                stdin=ears,
                stdout=subprocess.DEVNULL,  # mpirun waits for the ends of what a rank writes to
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return cls(writing, lookout=lookout)

    @classmethod
    def none(cls) -> "Lifeline":
        """Of a run of one that nobody has launched."""
        return cls(os.open(os.devnull, os.O_WRONLY))

    def hold(self, seconds: float) -> None:
        """Where this process does not call it again within `seconds` (inf: whenever it likes), it is killed.

        To be called at every turn of a loop: what the lookout knows already it is told only now and then.
        """
        now = self._clock()
        if seconds == self._limit and now < self._told + min(TELL_SECONDS, seconds / 8):
            return
        self._limit, self._told = seconds, now
        with contextlib.suppress(OSError):  # somebody has killed or stopped the lookout
            os.write(self._stream, f"{seconds}\n".encode())

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """For what all ranks do together: where one dies or is stopped the others wait for it."""
        self.hold(seconds)
        yield  # after an exception the limit stays: all that is left to do is to end
        self.hold(math.inf)
