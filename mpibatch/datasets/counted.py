"""`mini_batch_count: N`: N mini-batches without input, for scripts that make their data or know where it is.

`run` gets an empty list; what to do it learns from `context.minibatch_index`. Each mini-batch counts as one item: it
has succeeded when `run` returns, with however many rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mpibatch.datasets.base import FailedItem, FileIdentity
from mpibatch.types import Map, Split


class EmptyBatch:
    """A mini-batch without data."""

    __slots__ = ()
    items = 1

    @property
    def value(self) -> list[Any]:
        return []

    def slice(self, first: int, last: int) -> "EmptyBatch":
        return self


class CountedDataset:
    """N mini-batches."""

    reads_data = False
    warnings: Sequence[str] = ()

    def __init__(self, count: int) -> None:
        self._count = count

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        return (Split(b"%d" % number, 1) for number in range(self._count))

    def dump_state(self) -> bytes:
        return b""

    def load_state(self, state: bytes) -> None:
        pass

    def load(self, payload: bytes) -> EmptyBatch:
        return EmptyBatch()

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        return []

    def accept_changes(self) -> None:
        pass

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        return [FailedItem(f"mini-batch {payload.decode()}")]

    locate_items = failed_items

    def count_items(self, payload: bytes) -> int:
        return 1
