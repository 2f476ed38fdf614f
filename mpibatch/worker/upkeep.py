"""What a rank does every few seconds beside its work, in a thread of its own: samples of resources, limits to logs."""

import logging
import threading
from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

FIRST_SECONDS, LATER_SECONDS = 1.0, 5.0
OFTEN = 10  # rounds that are FIRST_SECONDS apart, for short runs


def start_upkeep(duties: Sequence[Callable[[], None]]) -> None:
    """Calls each of `duties` again and again until the process ends; one that raises OSError is not called again."""
    threading.Thread(target=_run, args=(list(duties),), name="mpibatch-upkeep", daemon=True).start()


def _run(duties: list[Callable[[], None]]) -> None:
    pause = threading.Event()
    rounds = 0
    while duties:
        # first of all, too: what a duty imports would take the core from a run that begins
        pause.wait(FIRST_SECONDS if rounds < OFTEN else LATER_SECONDS)
        for duty in list(duties):
            try:
                duty()
            except OSError as error:
                logger.warning("given up: %s", error)
                duties.remove(duty)
        rounds += 1
