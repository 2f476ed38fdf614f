"""A rank ends with what has started it (mpirun, its daemon, or slurmstepd), and does not wait for ever for ranks that
never come.

A launcher that is killed leaves its ranks running where nothing else ends them, and a resume would then be refused. Not
by PR_SET_PDEATHSIG: that fires when the *thread* that started the rank ends, and Open MPI starts many ranks from
threads of short life.

    MPI_Init         a child of the rank looks on: MPI_Init holds the interpreter, so that no thread of ours runs
    all together     SIGALRM, whose default action needs no interpreter either
    from then on     a thread
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from mpibatch.errors import ExitStatus

LOOK_SECONDS = 0.25
PARENT = os.getppid()  # at import, which comes before what takes long to import


@contextmanager
def coming_together(seconds: int) -> Iterator[None]:
    """While it lasts this process is killed if its parent dies, or if it takes longer than `seconds`; 0: never.

    Where a rank dies or is stopped in MPI_Init the others wait for it, and with ULFM mpirun does not end them. To be
    called before MPI, and threads, are there: it forks.
    """
    if not seconds:
        yield
        return
    rank = os.getpid()
    child = os.fork()
    if child == 0:
        _look_on(rank, seconds)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _look_on(rank: int, seconds: int) -> NoReturn:
    """In the child."""
    try:
        os.closerange(0, 3)  # mpirun waits for the ends of what the rank writes to
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        until = time.monotonic() + seconds
        while os.getppid() == rank:
            if _parent_of(rank) != PARENT or time.monotonic() > until:
                os.kill(rank, signal.SIGKILL)
            time.sleep(LOOK_SECONDS)
    finally:
        os._exit(0)


def _parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return None


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """Ends this process by SIGALRM where it takes longer; 0: never. For what all ranks do together."""
    signal.alarm(seconds)
    yield
    signal.alarm(0)


def end_with_parent() -> None:
    """From now on this process ends, at once and without goodbye, when its parent has ended."""

    def watch() -> None:
        while os.getppid() == PARENT:
            time.sleep(LOOK_SECONDS)
        os._exit(ExitStatus.STOPPED)  # the guardian of the executor sees its socket close

    threading.Thread(target=watch, name="mpibatch-lifeline", daemon=True).start()
