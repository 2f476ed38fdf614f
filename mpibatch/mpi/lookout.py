"""The lookout: a small process beside a rank that kills it when its time is up, when it has been stopped (SIGSTOP) for
too long, or when what has started it has ended.

    rank --(pipe, its stdin)--> lookout     a number: be heard of again within so many seconds, or be killed
                                            end of file: the rank has ended, and so does the lookout

A launcher that is killed leaves its ranks running where nothing else ends them, and a resume would then be refused. And
a rank that is stopped, or in MPI_Init or MPI_Finalize, which hold the interpreter, cannot see to its own end: mpirun
waits for it for ever, with ULFM at least. Not by PR_SET_PDEATHSIG: that fires when the *thread* that started the rank
ends, and Open MPI starts many ranks from threads of short life.

Run as a script with nothing but the standard library, since it must start fast and stay small.
"""

import contextlib
import math
import os
import select
import signal
import sys
import time

LOOK_SECONDS = 0.25
STOPPED = b"T"  # a debugger stops with another state
GAP_SECONDS = 2.0  # between two looks: the lookout itself was stopped, and the rank with it


def state_and_parent(pid: int) -> tuple[bytes, int]:
    """See proc(5); nothing and 0 where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            return state, int(parent)
    except OSError:
        return b"", 0


def main(arguments: list[str]) -> None:
    """`lookout.py RANK PARENT SECONDS`: process numbers of the rank and of what has started it, and for how long it may
    be stopped, whatever it has said.
    """
    rank, parent, longest_stop = map(int, arguments)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # batch systems send them to all processes of a job
    poller = select.poll()
    poller.register(0, select.POLLIN)
    limit = math.inf
    heard = looked = ran = time.monotonic()
    while True:
        readable = poller.poll(LOOK_SECONDS * 1000)
        now = time.monotonic()
        if readable:
            said = os.read(0, 65536).split()
            if not said:
                return
            limit, heard = float(said[-1]), now
        state, started_by = state_and_parent(rank)
        if now - looked > GAP_SECONDS:
            heard, ran = min(heard + now - looked, now), now
        if state != STOPPED:
            ran = now
        looked = now
        if now - heard > limit or now - ran > longest_stop or started_by != parent:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rank, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
