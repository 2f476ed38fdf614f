"""Finding the items of a mini-batch that make it fail: halves, quarters, ... down to single items.

Parts run once each. A part that succeeds gives its rows; a part that fails is halved; a single item that fails is lost.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Rows = TypeVar("Rows")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """Items [first, last) of a mini-batch."""

    first: int
    last: int

    @property
    def items(self) -> int:
        return self.last - self.first

    def halves(self) -> list["Part"]:
        middle = (self.first + self.last) // 2
        return [Part(self.first, middle), Part(middle, self.last)]


@dataclass(slots=True)
class Isolation(Generic[Rows]):
    """One mini-batch of `items` items, more than one, that failed as a whole."""

    items: int
    waiting: list[Part] = field(default_factory=list)
    _rows: dict[Part, Rows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = Part(0, self.items).halves()

    def next(self) -> Part | None:
        """The next part to run; None when all have been handed out."""
        return self.waiting.pop(0) if self.waiting else None

    def again(self, part: Part) -> None:
        """`part` has not been run after all: it comes next."""
        self.waiting.insert(0, part)

    def succeeded(self, part: Part, rows: Rows) -> None:
        self._rows[part] = rows

    def failed(self, part: Part) -> bool:
        """Whether `part` was a single item, which is thereby lost; otherwise its halves are next."""
        if part.items == 1:
            return True
        self.waiting = part.halves() + self.waiting
        return False

    def rows(self) -> list[Rows]:
        """What the parts gave, in item order."""
        return [self._rows[part] for part in sorted(self._rows)]
