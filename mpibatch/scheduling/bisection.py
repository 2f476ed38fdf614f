"""Finding the items of a mini-batch that make it fail: halves, quarters, ... down to single items.

Parts run once each. A part that succeeds gives its rows; a part that fails is halved; a single item that fails is lost.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Rows = TypeVar("Rows")


@dataclass(frozen=True, slots=True, order=True)
class ItemRange:
    """Items [first, last) of a mini-batch."""

    first: int
    last: int

    @property
    def items(self) -> int:
        return self.last - self.first

    def halves(self) -> list["ItemRange"]:
        middle = (self.first + self.last) // 2
        return [ItemRange(self.first, middle), ItemRange(middle, self.last)]


@dataclass(slots=True)
class Bisection(Generic[Rows]):
    """One mini-batch of `items` items, more than one, that failed as a whole."""

    items: int
    waiting: list[ItemRange] = field(default_factory=list)
    _rows: dict[ItemRange, Rows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = ItemRange(0, self.items).halves()

    def next_range(self) -> ItemRange | None:
        """The next part to run; None when all have been handed out."""
        return self.waiting.pop(0) if self.waiting else None

    def requeue(self, part: ItemRange) -> None:
        """`part` has not been run after all: it comes next."""
        self.waiting.insert(0, part)

    def succeeded(self, part: ItemRange, rows: Rows) -> None:
        self._rows[part] = rows

    def failed(self, part: ItemRange) -> bool:
        """Whether `part` was a single item, which is thereby lost; otherwise its halves are next."""
        if part.items == 1:
            return True
        self.waiting = part.halves() + self.waiting
        return False

    def rows(self) -> list[Rows]:
        """What the parts gave, in item order."""
        return [self._rows[part] for part in sorted(self._rows)]
