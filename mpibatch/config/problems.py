"""How the problems of a job file are gathered and worded: each stage adds to one `Problems`, the last raises.

What users typed is quoted with the unprintable escaped and long text cut: it may be hostile to a terminal.
"""

import datetime
import difflib
import re
from collections.abc import Iterable

from mpibatch.errors import JobFileError

Key = tuple[str | int, ...]
"""Where in the job file: ("inputs", "digits", "path", 2)."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,80}")
_LONGEST = 60


class Problems:
    """All problems so far, and the keys that they are about."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.keys: list[Key] = []

    def add(self, key: Key, message: str) -> None:
        """`message` goes on where the key's name ends: "is missing"."""
        self.keys.append(key)
        self.messages.append(f"{format_key(key)} {message}")

    def add_invalid(self, key: Key, value: object, allowed: str) -> None:
        default = ", or be left out for its default" if value is None else ""
        self.add(key, f"is {format_value(value)}; it must be {allowed}{default}")

    def add_general(self, message: str) -> None:
        """A problem of no single key."""
        self.messages.append(message)

    def covers(self, key: Key) -> bool:
        """Whether something at, above or below `key` is known to be wrong: what follows need not be said."""
        return any(known[: len(key)] == key[: len(known)] for known in self.keys)

    def check(self, path: str) -> None:
        """Raises if anything was found."""
        if self.messages:
            raise JobFileError(path, self.messages)


def format_key(key: Key) -> str:
    """The key as the user would look for it: inputs.digits.path[2]."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{format_value(part)}]"
    return text or "the job file"


def format_value(value: object) -> str:
    """A value as YAML would write it, on one line, short and safe to print."""
    match value:
        case None:
            text = "empty"
        case bool():
            text = "true" if value else "false"
        case str():
            quotable = value[: 2 * _LONGEST].replace("\\", "\\\\").replace('"', '\\"')
            text = f'"{_shorten(escape(quotable))}"'
        case int() | float():
            text = _shorten(_number(value))
        case datetime.date():
            text = f"the date {value.isoformat()}"
        case dict():
            text = "a mapping" if value else "an empty mapping"
        case list():
            text = f"a list of {len(value)}" if value else "an empty list"
        case _:
            text = f"of type {type(value).__name__}"
    return text


def as_text(value: str | int | float | bool) -> str:
    """A value within text, an argument or an environment variable; booleans as the job file writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def escape(text: str) -> str:
    """Text on one line with everything unprintable escaped, at most 1000 characters of it."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text[:1000]
    )


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that was probably meant."""
    folded = {candidate.lower(): candidate for candidate in valid}
    matches = difflib.get_close_matches(name[:100].lower(), folded, n=1)
    return folded[matches[0]] if matches else None


def suggest(name: str, valid: Iterable[str], what: str = "Valid") -> str:
    """The end of a message about an unknown name: the one that was meant, and all valid ones."""
    names = list(valid)
    match = nearest(name, names)
    guess = f"did you mean {match}? " if match else ""
    return guess + (f"{what}: {', '.join(map(printable, names))}" if names else f"{what}: none")


def printable(name: str) -> str:
    """A name as it is, or quoted where it is not plain."""
    return name if _PLAIN.fullmatch(name) else format_value(name)


def _number(value: float) -> str:
    if isinstance(value, int) and value.bit_length() > 200:  # printing a huge int is slow, and past a limit an error
        return "an enormous number"
    return repr(value)


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
