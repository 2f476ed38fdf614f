"""Ranks give way to executors: what is worth waking a rank for can wait until the core is free.

    rank's loop, `giving_way` --> SCHED_BATCH      an executor is started, `not_giving_way` --> SCHED_OTHER, inherited

A process under SCHED_BATCH that wakes up takes the core from nobody (sched(7)). A rank shares its core with an
executor, and is woken for every look at its results. Policies are of threads, and go on to the threads and processes
that one starts; so this is for the thread of the loop, while it lasts.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def giving_way() -> Iterator[None]:
    """Meanwhile this thread gives way, unless somebody has chosen another policy for it."""
    with _policy(os.SCHED_OTHER, os.SCHED_BATCH):
        yield


@contextmanager
def not_giving_way() -> Iterator[None]:
    """Meanwhile this thread starts processes that do not give way."""
    with _policy(os.SCHED_BATCH, os.SCHED_OTHER):
        yield


@contextmanager
def _policy(before: int, meanwhile: int) -> Iterator[None]:
    if os.sched_getscheduler(0) != before:
        yield
        return
    _set(meanwhile)
    try:
        yield
    finally:
        _set(before)


def _set(policy: int) -> None:
    with suppress(OSError):  # forbidden in some sandboxes: it is for speed alone
        os.sched_setscheduler(0, policy, os.sched_param(0))
