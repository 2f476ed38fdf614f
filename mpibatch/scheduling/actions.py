"""What the scheduler wants done."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """Mini-batches [first, first + count) go to `rank`, as try number `tries`.

    isolate_items: 0, or how many items the one mini-batch has: it failed its last try, number `tries`, and is to be run
                   in parts
    alone:         it may have ended a rank before, and is all that this rank holds
    """

    rank: int
    first: int
    count: int
    tries: int
    isolate_items: int = 0
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """`rank` is to give back up to `count` mini-batches that it has not begun; others are idle."""

    rank: int
    count: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Another rank has finished mini-batch `index`: `rank` is to leave off, wherever it is with it."""

    rank: int
    index: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Give up: a threshold was passed, or nobody is left to work."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Every mini-batch is final, or the run is stopping and nothing is in flight any more."""


Action = Grant | Recall | Cancel | Abort | Finish
