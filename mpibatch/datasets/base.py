"""What an input format offers: a plan made on rank 0, and the loading of one slice in an executor.

One file a format. The planning side may be slow and may use the `parallel_map` it is handed to read on other ranks;
the loading side is imported in every executor and imports nothing that its format does not need (a files job
imports no pandas). A payload is written by `plan` and read by `load`, `failed_items` and `count_items` of the same
format, and by nothing else.

    rank 0:   plan(map) ... exhausted, then dump_state() --bytes--> executors: load_state(bytes), then load(payload) ...

What `plan` found out about the input as a whole (the types of a CSV's columns) travels in a file of the run directory
(state_file.py), as the dumped state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from mpibatch.types import Map, Split


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

    def to_json(self) -> dict[str, Any]:
        """As it stands in failed_items.jsonl."""
        name: dict[str, Any] = {"item": self.item}
        if self.rows is not None:
            name["rows"] = list(self.rows)
        if self.bytes is not None:
            name["bytes"] = list(self.bytes)
        if self.count != 1:
            name["count"] = self.count
        return name


class FileIdentity(NamedTuple):
    """A file's size in bytes, the time of its content in nanoseconds, and its inode: what the planner saw."""

    size: int
    mtime_ns: int
    inode: int


class LoadedBatch(Protocol):
    """A mini-batch in memory."""

    @property
    def items(self) -> int: ...

    @property
    def value(self) -> Any:
        """What `run()` gets: a list of paths, a DataFrame with index 0..n-1, or a dict of arrays."""

    def slice(self, first: int, last: int) -> "LoadedBatch":
        """Items [first, last), as a mini-batch of its own: how isolation halves."""


class ListBatch:
    """A mini-batch that is a list of texts: paths, of which those that are not UTF-8 hold surrogates, or lines."""

    __slots__ = ("value",)

    def __init__(self, value: list[str]) -> None:
        self.value = value

    @property
    def items(self) -> int:
        return len(self.value)

    def slice(self, first: int, last: int) -> "ListBatch":
        return ListBatch(self.value[first:last])


class Dataset(Protocol):
    """One input of a job. Construction is cheap and touches no data."""

    @property
    def reads_data(self) -> bool:
        """Whether `load` reads anything, so that it pays to have a thread read ahead."""

    @property
    def warnings(self) -> Sequence[str]:
        """What `plan` has found that a run lives with, in words for the user; valid once `plan` is exhausted."""

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        """All slices in order. Raises InputError where the input cannot be planned at all.

        The functions handed to `parallel_map` can be pickled: it may apply them on other ranks. All that comes back is
        what they return: what they would warn of is part of that, and `plan` adds it to `warnings`.
        """

    def dump_state(self) -> bytes:
        """What `load`, `failed_items` and `count_items` need besides payloads; valid once `plan` is exhausted."""

    def load_state(self, state: bytes) -> None:
        """Takes what `dump_state` of the same input gave, before the first `load`; b"" is always accepted."""

    def load(self, payload: bytes) -> LoadedBatch:
        """Reads one slice. Raises LoadError with file, range and reason, also where a file is not the planned one."""

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        """The local files that `load` reads, each with what the planner saw there; without reading."""

    def accept_changes(self) -> None:
        """Files that are not those that were planned are loaded from here on."""

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        """Names the items at positions `lost` (None: all `items` of them), as far as the payload tells: reads nothing,
        since rank 0 asks in its loop.
        """

    def locate_items(self, payload: bytes, lost: list[int], items: int) -> list[FailedItem]:
        """As `failed_items`, and may read what `load` has read: executors ask, of a mini-batch that has `items`."""

    def count_items(self, payload: bytes) -> int:
        """Items of a slice that could not be loaded, by a scan of its bytes; UNKNOWN if that fails too.

        An estimate, unless the format knows better.
        """


class LoadError(Exception):
    """A slice that cannot be read; the message names the file, the byte or row range, and the reason."""


class CutInsideQuotes(LoadError):
    """A slice that begins or ends inside a quoted field.

    Every later slice of the file may be wrong, so the run stops; the message carries the advice
    (`quoted_newlines: true`).
    """
