"""All results that one look at the ranks has brought, as one batch: rank 0 writes, judges and answers them together.

    (rank 1, Results), (rank 7, Results), (rank 1, Heartbeat), (rank 3, Results)
      --gathered--> (rank 1, ResultsBatch of 1 and 7), (rank 1, Heartbeat), (rank 3, ResultsBatch)

What a result costs rank 0 is mostly the same whether it comes alone or with a hundred others. A large one is a batch of
its own, in the buffer in which it has arrived.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.large import RowData
from mpibatch.worker.messages import Results


@dataclass(frozen=True, slots=True)
class ResultsBatch:
    """records: of ATTEMPT_DTYPE; data: each one's bytes, in order; parts: the (rank, first, last) of each message."""

    records: NDArray[np.void]
    data: RowData
    parts: tuple[tuple[int, int, int], ...]

    @property
    def ranks(self) -> NDArray[np.int32]:
        """The rank that each record came from."""
        ranks, firsts, lasts = np.array(self.parts, dtype=np.int32).T
        return np.repeat(ranks, lasts - firsts)

    @staticmethod
    def of(messages: Sequence[tuple[int, Results]]) -> "ResultsBatch":
        """Of these ranks' messages."""
        parts, first = [], 0
        for rank, results in messages:
            last = first + len(results.records) // ATTEMPT_DTYPE.itemsize
            parts.append((rank, first, last))
            first = last
        records = np.frombuffer(b"".join([results.records for _, results in messages]), dtype=ATTEMPT_DTYPE)
        data = [results.data for _, results in messages]
        return ResultsBatch(records, data[0] if len(data) == 1 else b"".join(data), tuple(parts))


def gathered(messages: Iterable[tuple[int, Any]], at_most: int) -> Iterator[tuple[int, Any]]:
    """The messages in order; Results that follow each other as one ResultsBatch, of `at_most` messages."""
    waiting: list[tuple[int, Results]] = []
    for rank, message in messages:
        is_small = isinstance(message, Results) and not message.is_large
        if waiting and (not is_small or len(waiting) == at_most):
            yield waiting[0][0], ResultsBatch.of(waiting)
            waiting = []
        if is_small:
            waiting.append((rank, message))
        else:
            yield rank, ResultsBatch.of([(rank, message)]) if isinstance(message, Results) else message
    if waiting:
        yield waiting[0][0], ResultsBatch.of(waiting)
