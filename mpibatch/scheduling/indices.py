"""Numbers of mini-batches in arrays."""

import numpy as np
from numpy.typing import NDArray


def repeats(index: NDArray[np.int64]) -> bool:
    """Whether the same mini-batch may stand twice in one message; in order, as nearly always, is quick to see."""
    return bool(len(index) > 1 and not np.all(index[1:] > index[:-1]) and len(np.unique(index)) < len(index))


def spans(indices: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers as [first, last)."""
    if not len(indices):
        return []
    cuts = np.flatnonzero(np.diff(indices) != 1) + 1
    firsts = indices[np.concatenate(([0], cuts))]
    lasts = indices[np.concatenate((cuts - 1, [len(indices) - 1]))] + 1
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
