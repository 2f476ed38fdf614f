"""The words in which `schema.py` declares a setting, next to its type and its default.

    run_max_try: Annotated[int, Interval(ge=1, le=255), OnResume(), Doc("Total tries of a mini-batch.")] = 3

`settings.py` reads them: whatever is known of a setting (its check, the wording of messages, the JSON Schema, the
reference) follows from its one declaration. Interval and MinLen are named as in `annotated_types`, which every rank and
executor would import for them, in as much time as all of the schema; named tuples are made in a quarter of the time of
frozen dataclasses.
"""

import re
from typing import Any, NamedTuple


class Doc(NamedTuple):
    """What the setting means, for people; Markdown."""

    text: str


class Interval(NamedTuple):
    """A number from `ge`, or above `gt`, to `le`."""

    ge: int | None = None
    gt: int | None = None
    le: int | None = None


class MinLen(NamedTuple):
    """A list of at least so many."""

    min_length: int


class OnResume:
    """A resumed run may have another value than before: it changes no row."""


class Auto:
    """None is written as "auto", and must be: null is refused."""


class Quantity(NamedTuple):
    """What a number is a number of: "seconds"."""

    name: str


class Means(NamedTuple):
    """The lowest value is no number but a switch: `-1 to tolerate all`."""

    value: int
    effect: str


class Pattern(NamedTuple):
    """Text that `regex` finds a match in; `words` say what that is. The regex is one to Python, Rust and JavaScript."""

    regex: str
    words: str

    def matches(self, text: str) -> bool:
        """Whether all of `text`, a final line break included, is what an anchored pattern describes."""
        return re.fullmatch(self.regex, text) is not None


class Written(NamedTuple):
    """The job file has another form than the dataclass: a type, and what it is in words."""

    form: Any
    words: str


class Key(NamedTuple):
    """The job file has another name for it. required: it has to be there, though the dataclass has a default."""

    name: str
    required: bool = False


class ShortFor(NamedTuple):
    """A section may be written as text alone, which is the value of its key `key`."""

    key: str


class For:
    """Only for inputs, or output files, of these types."""

    __slots__ = ("types",)

    def __init__(self, *types: str) -> None:
        self.types = types


class Internal:
    """Not in the job file."""
