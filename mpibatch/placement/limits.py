"""How long ranks may take for what all of them do together, before somebody concludes that one of them never will."""

from collections.abc import Mapping

START_LIMIT = "MPIBATCH_START_LIMIT"


def together(ranks: int, env: Mapping[str, str]) -> int:
    """Seconds, to start and to end; MPIBATCH_START_LIMIT says otherwise, for a machine that is slow to start."""
    return int(env.get(START_LIMIT, 60 + ranks // 10))
