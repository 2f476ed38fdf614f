"""Ranks give way to executors: what is worth waking a rank for can wait until the core is free.

    rank --enter--> SCHED_BATCH        --left--> SCHED_OTHER while an executor is started, which inherits it

A process under SCHED_BATCH that wakes up takes the core from nobody (sched(7)). A rank shares its core with an
executor, and is woken for every look at its results. Policies are of threads, and go on to the threads and processes
that one starts; so this is for the thread that starts them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_USUAL = os.sched_param(0)


def enter() -> None:
    """This thread, and those that it starts, give way from now on, unless somebody has chosen another policy."""
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):  # forbidden in some sandboxes: it is for speed alone
            os.sched_setscheduler(0, os.SCHED_BATCH, _USUAL)


@contextmanager
def left() -> Iterator[None]:
    """Meanwhile this thread starts processes that do not give way, if it is one that has entered."""
    entered = os.sched_getscheduler(0) == os.SCHED_BATCH
    if entered:
        os.sched_setscheduler(0, os.SCHED_OTHER, _USUAL)
    try:
        yield
    finally:
        if entered:
            os.sched_setscheduler(0, os.SCHED_BATCH, _USUAL)
