"""What an input format offers: a plan made on rank 0, and the loading of one slice in an executor.

One file a format. The planning side may be slow and may use the `map` it is handed to read on other ranks;
the loading side is imported in every executor and imports nothing that its format does not need (a files job
imports no pandas). A payload is written by `plan` and read by `load`, `describe` and `count` of the same
format, and by nothing else.

    rank 0:   plan(map) ... exhausted, then freeze() --bytes--> executors: thaw(bytes), then load(payload) ...

What `plan` found out about the input as a whole (the types of a CSV's columns) travels once, in the frozen
bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from mpibatch.types import Map, Slice


@dataclass(frozen=True, slots=True)
class FailedItem:
    """How failed_items.jsonl names what was lost.

    item:  path of the file; for tables and HDF5 the file that holds the rows
    rows:  [first, last) rows within the file, where known
    bytes: [first, last) bytes within the file, for formats cut by bytes
    count: how many items this stands for, UNKNOWN if nobody can tell
    """

    item: str
    rows: tuple[int, int] | None = None
    bytes: tuple[int, int] | None = None
    count: int = 1


class Loaded(Protocol):
    """A mini-batch in memory."""

    @property
    def items(self) -> int: ...

    @property
    def value(self) -> Any:
        """What `run()` gets: a list of paths, a DataFrame with index 0..n-1, or a dict of arrays."""

    def part(self, first: int, last: int) -> "Loaded":
        """Items [first, last), as a mini-batch of its own: how isolation halves."""


class Dataset(Protocol):
    """One input of a job. Construction is cheap and touches no data."""

    @property
    def reads_data(self) -> bool:
        """Whether `load` reads anything, so that it pays to have a thread read ahead."""

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        """All slices in order. Raises InputError where the input cannot be planned at all.

        The functions handed to `map` can be pickled: it may apply them on other ranks.
        """

    def freeze(self) -> bytes:
        """What `load`, `describe` and `count` need besides payloads; valid once `plan` is exhausted."""

    def thaw(self, frozen: bytes) -> None:
        """Takes what `freeze` of the same input gave, before the first `load`; b"" is always accepted."""

    def load(self, payload: bytes) -> Loaded:
        """Reads one slice. Raises LoadError with file, range and reason."""

    def describe(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        """Names the items at positions `lost` (None: all `items` of them), without reading if possible."""

    def count(self, payload: bytes) -> int:
        """Items of a slice that could not be loaded, by a scan of its bytes; UNKNOWN if that fails too.

        An estimate, unless the format knows better.
        """


class LoadError(Exception):
    """A slice that cannot be read; the message names the file, the byte or row range, and the reason."""


class WrongCut(LoadError):
    """A slice that begins or ends inside a quoted field.

    Every later slice of the file may be wrong, so the run stops; the message carries the advice
    (`quoted_newlines: true`).
    """
