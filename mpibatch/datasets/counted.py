"""`mini_batch_count: N`: N mini-batches without input, for scripts that make their data or know where it is.

`run` gets an empty list; what to do it learns from `context.minibatch_index`. Each mini-batch counts as one item: it
has succeeded when `run` returns, with however many rows.
"""

from collections.abc import Iterator
from typing import Any

from mpibatch.datasets.base import FailedItem
from mpibatch.types import Map, Slice


class Nothing:
    """A mini-batch without data."""

    __slots__ = ()
    items = 1

    @property
    def value(self) -> list[Any]:
        return []

    def part(self, first: int, last: int) -> "Nothing":
        return self


class Counted:
    """N mini-batches."""

    reads_data = False

    def __init__(self, count: int) -> None:
        self._count = count

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        return (Slice(b"%d" % number, 1) for number in range(self._count))

    def freeze(self) -> bytes:
        return b""

    def thaw(self, frozen: bytes) -> None:
        pass

    def load(self, payload: bytes) -> Nothing:
        return Nothing()

    def describe(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        return [FailedItem(f"mini-batch {payload.decode()}")]

    def count(self, payload: bytes) -> int:
        return 1
