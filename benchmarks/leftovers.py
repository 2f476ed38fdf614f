"""Nothing that a measurement has started outlives it: daemons of a peer, ranks of a run that failed."""

import signal
import sys
import time

from mpibatch.liveness.process_tree import PR_SET_CHILD_SUBREAPER, kill_descendants, prctl, reap

NOBODY = -1


def adopt_orphans() -> None:
    """What loses its parent below this process comes to this process, and is found by `end_leftovers`.

    SIGTERM ends this process like an exception, so that what it has started is ended first.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def end_leftovers() -> None:
    """Kills all that is below this process, and returns when it is gone."""
    while kill_descendants():
        reap(NOBODY)
        time.sleep(0.005)
