"""Attempt records for tests, made from few words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import AttemptOutcome, Flag

FAILING = (
    AttemptOutcome.USER_ERROR,
    AttemptOutcome.WRONG_RETURN,
    AttemptOutcome.LOAD_ERROR,
    AttemptOutcome.TIMEOUT,
    AttemptOutcome.EXECUTOR_CRASH,
)


@dataclass(frozen=True)
class Attempt:
    index: int
    cause: AttemptOutcome = AttemptOutcome.SUCCEEDED
    items: int = 1
    succeeded: int = 1
    isolated: bool = False
    seconds: float = 0.0


def failed(index: int, cause: AttemptOutcome = AttemptOutcome.USER_ERROR, items: int = 1) -> Attempt:
    return Attempt(index, cause, items, 0)


def records(attempts: Sequence[Attempt]) -> NDArray[np.void]:
    """As they come from a worker's message."""
    table = np.zeros(len(attempts), dtype=ATTEMPT_DTYPE)
    for position, attempt in enumerate(attempts):
        table[position]["index"] = attempt.index
        table[position]["items"] = attempt.items
        table[position]["succeeded"] = attempt.succeeded
        table[position]["cause"] = attempt.cause
        table[position]["flags"] = Flag.ISOLATED if attempt.isolated else 0
        table[position]["run"] = attempt.seconds
    return table
