"""A rank ends with what has started it: mpirun, its daemon, or slurmstepd.

A launcher that is killed leaves its ranks running where nothing else ends them, and a resume would then be refused. Not
by PR_SET_PDEATHSIG: that fires when the *thread* that started the rank ends, and Open MPI starts many ranks from
threads of short life.
"""

import os
import threading
import time

from mpibatch.errors import ExitStatus

LOOK_SECONDS = 0.25


def end_with_parent() -> None:
    """From now on this process ends, at once and without goodbye, when its parent has ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(ExitStatus.STOPPED)  # the guardian of the executor sees its socket close

    threading.Thread(target=watch, name="mpibatch-lifeline", daemon=True).start()
