"""A mini-batch that has ended one rank after the other, as an attempt that has failed."""

import time

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import AttemptOutcome, Failure, encode_failures, pack
from mpibatch.scheduling.suspects import CHARGES_TO_FAIL


def failed_attempt(index: int, items: int, rank: int, host: str) -> tuple[NDArray[np.void], bytes, Failure]:
    """Its record, of ATTEMPT_DTYPE, its failure bytes, and the failure. rank, host: the last that it has ended."""
    failure = Failure(
        AttemptOutcome.LOST_RANK.name.lower(),
        f"mini-batch {index} was lost with its rank {CHARGES_TO_FAIL} times while it ran alone: it brings down "
        "the process of the rank, its memory limit or its node. logs/sys of that host may say more",
        rank=rank,
        tries=CHARGES_TO_FAIL,
        host=host,
    )
    data = encode_failures([failure])
    record = pack(
        index=index,
        items=items,
        rank=rank,
        cause=AttemptOutcome.LOST_RANK,
        tries=CHARGES_TO_FAIL,
        started=time.time(),
        failure_bytes=len(data),
    )
    return np.frombuffer(record, dtype=ATTEMPT_DTYPE), data, failure
