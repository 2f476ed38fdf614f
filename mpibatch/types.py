"""The nouns that packages exchange. Light on purpose: executors import this before the user's script.
What is made once per mini-batch is not frozen, since that makes it three times as slow to make.

A plan yields `Split`s; a split with its position in the plan is a `MiniBatch`; a worker runs attempts of it, and each
attempt leaves one `ATTEMPT` record of fixed width, followed by its row bytes and its failure bytes:

    Split --plan--> MiniBatch --grant--> executor --> ATTEMPT record + row bytes + failure JSON --> results log
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, cast

UNKNOWN = -1  # a count or an offset that only reading the data would tell

T = TypeVar("T")
R = TypeVar("R")

Map = Callable[[Callable[[T], R], Iterable[T]], Iterator[R]]
"""Applies a function to each element, in order, maybe on other ranks: what a plan that must scan data is handed."""


class Pickled:
    """A dataclass that is pickled as its constructor's arguments.

    One with slots would look up its fields each time, which costs rank 0 as much as all else about a grant.
    """

    __slots__ = ()
    __match_args__: tuple[str, ...]

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), _fields(cast(Hashable, type(self)))(self)  # mypy holds no such class to be hashable


@cache
def _fields(kind: Any) -> Callable[[Pickled], tuple[object, ...]]:
    """What gives an object's fields, in C where there are several."""
    names = kind.__match_args__
    return attrgetter(*names) if len(names) > 1 else lambda one: (getattr(one, names[0]),)


class Phase(IntEnum):
    """What an executor is doing, as its status block says."""

    START = 0  # interpreter start, import of the entry script
    INIT = 1
    IDLE = 2
    LOAD = 3
    RUN = 4
    ENCODE = 5
    SEND = 6  # waiting for the worker to read: never the script's fault
    SHUTDOWN = 7


@dataclass(frozen=True, slots=True)
class Split(Pickled):
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
class MiniBatchRange(Pickled):
    """Consecutive mini-batches as columns: how a grant carries them, since an object each would cost too much."""

    first: int
    dataset: list[int]
    item_offset: list[int]
    items: list[int]
    key: list[str]
    payload: list[bytes]

    def __iter__(self) -> Iterator[MiniBatch]:
        columns = zip(self.dataset, self.item_offset, self.items, self.key, self.payload, strict=True)
        return (MiniBatch(self.first + position, *column) for position, column in enumerate(columns))
