"""The deadman process: a small process beside a rank that kills it when its limit has passed, when it has been stopped
(SIGSTOP) for too long, or when its launcher has ended.

    rank --(pipe, its stdin)--> deadman process     lines: the limit, in seconds from now on, and
                                                    the name of its timer
                                                    end of file: the rank has ended, and so does this process

A launcher that is killed leaves its ranks running where nothing else ends them, and a resume would then be refused. And
a rank that is stopped, or in MPI_Init or MPI_Finalize, which hold the interpreter, cannot see to its own end: mpirun
waits for it for ever, with ULFM at least. Not by PR_SET_PDEATHSIG: that fires when the *thread* that started the rank
ends, and Open MPI starts many ranks from threads of short life.

See helper_process.py for how it is started.
"""

import contextlib
import math
import os
import select
import signal
import time

from mpibatch.liveness.clock import AwakeClock
from mpibatch.liveness.process_tree import state_and_parent

POLL_SECONDS = 0.25
STOPPED = b"T"  # a debugger stops with another state


def main(arguments: list[str]) -> None:
    """`deadman_process RANK PARENT SECONDS`: process numbers of the rank and of its launcher, and for how long
    the rank may be stopped, whatever its limit.
    """
    rank, parent, max_stopped_seconds = map(int, arguments)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # batch systems send them to all processes of a job
    poller = select.poll()
    poller.register(0, select.POLLIN)
    limit, timer = math.inf, b""
    clock = AwakeClock(time.monotonic)  # where this process was stopped, so was the rank
    renewed = last_running = clock()
    while True:
        readable = poller.poll(POLL_SECONDS * 1000)
        now = clock()
        if readable:
            lines = os.read(0, 65536).splitlines()
            if not lines:
                return
            seconds, timer = lines[-1].split()
            limit, renewed = float(seconds), now
        state, current_parent = state_and_parent(rank)
        if state != STOPPED:
            last_running = now
        if now - renewed > limit:
            _report(rank, f"it has not gone on for {limit:g} s ({timer.decode()})")
        elif now - last_running > max_stopped_seconds:
            _report(rank, f"it was stopped for {max_stopped_seconds} s (startup_timeout)")
        elif current_parent == parent:
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(rank, signal.SIGKILL)
        return


def _report(rank: int, why: str) -> None:
    """Says why on the stderr of the rank, opened only now: mpirun waits for the ends of what a rank writes to."""
    text = f"mpibatch: rank process {rank} on {os.uname().nodename} is killed: {why}\n"
    with contextlib.suppress(OSError):
        stderr = os.open(f"/proc/{rank}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
        os.write(stderr, text.encode())
        os.close(stderr)
