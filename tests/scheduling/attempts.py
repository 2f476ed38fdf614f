"""Attempt records for tests, made from few words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpibatch.scheduling.scheduler import ATTEMPT_DTYPE
from mpibatch.types import Cause, Flag

FAILING = (Cause.USER_ERROR, Cause.WRONG_RETURN, Cause.LOAD_ERROR, Cause.TIMEOUT, Cause.EXECUTOR_CRASH)


@dataclass(frozen=True)
class Attempt:
    index: int
    cause: Cause = Cause.SUCCEEDED
    items: int = 1
    succeeded: int = 1
    isolated: bool = False
    seconds: float = 0.0


def failed(index: int, cause: Cause = Cause.USER_ERROR, items: int = 1) -> Attempt:
    return Attempt(index, cause, items, 0)


def records(attempts: Sequence[Attempt]) -> NDArray[np.void]:
    """As they come from a worker's message."""
    table = np.zeros(len(attempts), dtype=ATTEMPT_DTYPE)
    for place, attempt in enumerate(attempts):
        table[place]["index"] = attempt.index
        table[place]["items"] = attempt.items
        table[place]["succeeded"] = attempt.succeeded
        table[place]["cause"] = attempt.cause
        table[place]["flags"] = Flag.ISOLATED if attempt.isolated else 0
        table[place]["run"] = attempt.seconds
    return table
