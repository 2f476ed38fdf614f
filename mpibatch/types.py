"""The nouns that rooms exchange. Light on purpose: executors import this before the user's script.
What is made once per mini-batch is not frozen, since that makes it three times as slow to make.

A plan yields `Slice`s; a slice with its place in the plan is a `MiniBatch`; a worker runs attempts of it, and each
attempt leaves one `ATTEMPT` record of fixed width, followed by its row bytes and its failure bytes:

    Slice --plan--> MiniBatch --grant--> executor --> ATTEMPT record + row bytes + failure JSON --> results log
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TypeVar

UNKNOWN = -1  # a count or an offset that only reading the data would tell

T = TypeVar("T")
R = TypeVar("R")

Map = Callable[[Callable[[T], R], Iterable[T]], Iterator[R]]
"""Applies a function to each element, in order, maybe on other ranks: what a plan that must scan data is handed."""


class Cause(IntEnum):
    """How one attempt ended; the names are the keys of `attempts` in summary.json."""

    SUCCEEDED = 0
    USER_ERROR = 1
    WRONG_RETURN = 2
    LOAD_ERROR = 3
    TIMEOUT = 4
    EXECUTOR_CRASH = 5
    LOST_RANK = 6


class Phase(IntEnum):
    """What an executor is doing, as its slot says."""

    START = 0  # interpreter start, import of the entry script
    INIT = 1
    IDLE = 2
    LOAD = 3
    RUN = 4
    ENCODE = 5
    SEND = 6  # waiting for the worker to read: never the script's fault
    SHUTDOWN = 7


@dataclass(frozen=True, slots=True)
class Slice:
    """One mini-batch as its dataset describes it.

    payload: where the data is, in a form that only the dataset reads; never the data itself
    items:   files or rows, UNKNOWN where only reading would tell
    key:     partition key values as a JSON object, "" without partition_keys
    """

    payload: bytes
    items: int = UNKNOWN
    key: str = ""


@dataclass(slots=True)
class MiniBatch:
    """A slice and its place: what `run()` is called for.

    index:       global over all inputs (`context.minibatch_index`)
    dataset:     position of its input in the job file
    item_offset: first item, counted within its input; UNKNOWN where an earlier count is
    """

    index: int
    dataset: int
    item_offset: int
    items: int
    key: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class MiniBatches:
    """Consecutive mini-batches as columns: how a grant carries them, since an object each would cost too much."""

    first: int
    dataset: list[int]
    item_offset: list[int]
    items: list[int]
    key: list[str]
    payload: list[bytes]

    def __iter__(self) -> Iterator[MiniBatch]:
        columns = zip(self.dataset, self.item_offset, self.items, self.key, self.payload, strict=True)
        return (MiniBatch(self.first + place, *column) for place, column in enumerate(columns))


ATTEMPT = struct.Struct("<qqqqqIiBBBxdfff")
"""One attempt, little-endian, without padding but the one byte shown; ATTEMPT_DTYPE is the same for NumPy."""

ATTEMPT_FIELDS: list[tuple[str, str]] = [
    ("index", "<i8"),
    ("items", "<i8"),  # UNKNOWN if the data could not be read
    ("succeeded", "<i8"),  # items with a row
    ("row_bytes", "<i8"),
    ("failure_bytes", "<i8"),
    ("schema", "<u4"),  # id of the rows' schema, 0 for none
    ("rank", "<i4"),
    ("cause", "u1"),
    ("tries", "u1"),  # which try this was, from 1
    ("flags", "u1"),
    ("pad", "u1"),
    ("started", "<f8"),  # seconds since the epoch
    ("load", "<f4"),  # seconds
    ("run", "<f4"),
    ("encode", "<f4"),
]


class Flag(IntEnum):
    """Bits of an attempt's `flags`."""

    SURPLUS = 1  # run() returned more rows than items; they are kept
    ISOLATED = 2  # made up of parts: the last try had failed
    ESTIMATED = 4  # the data could not be read: items is a count by a scan that may be off


@dataclass(frozen=True, slots=True)
class Failure:
    """Why items failed: what follows an attempt that lost some, as JSON.

    cause:     the name of a Cause, lower case
    error:     one line: the exception, or what happened
    traceback: of the user's script, "" where there is none
    lost:      positions of the failed items within the mini-batch; None: all of them, or (missing) any
    missing:   a short return: how many items have no row; any of the mini-batch's may be the ones
    fatal:     going on would give wrong rows elsewhere, so the run is to be given up
    """

    cause: str
    error: str
    traceback: str = ""
    lost: list[int] | None = None
    missing: int = 0
    rank: int = UNKNOWN
    tries: int = 0
    host: str = ""
    fatal: bool = False


def encode_failures(failures: Iterable[Failure]) -> bytes:
    """The failure bytes of an attempt: a JSON list, several entries only where isolation found several poison items."""
    return json.dumps([asdict(failure) for failure in failures]).encode()


def decode_failures(data: bytes) -> list[Failure]:
    return [Failure(**entry) for entry in json.loads(data)] if data else []
