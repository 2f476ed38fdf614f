"""How long ranks may take to come together, before somebody concludes that one of them never will."""

from collections.abc import Mapping

START_LIMIT = "MPIBATCH_START_LIMIT"


def start(ranks: int, env: Mapping[str, str]) -> int:
    """Seconds; MPIBATCH_START_LIMIT says otherwise, for a machine that is slow to start."""
    return int(env.get(START_LIMIT, 60 + ranks // 10))
