"""Files as items: a mini-batch is a list of absolute paths; what is in the files is the script's business.

    input --paths.find--> absolute paths --cut by count--> payload: paths below the input's root, NUL between
    them

A slice with a file outside the root holds absolute paths instead; the first byte tells. Loading joins root
and name and asks the file system nothing: at a hundred thousand mini-batches a second this file is the
executor's inner loop.
"""

import os
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mpibatch.config.schema import Input, Size
from mpibatch.datasets.base import FailedItem
from mpibatch.datasets.paths import find, root_of
from mpibatch.types import Map, Slice

DEFAULT_COUNT = 10  # files a mini-batch


class Paths:
    """A mini-batch of files. Names that are not UTF-8 hold surrogates, which open() takes."""

    __slots__ = ("value",)

    def __init__(self, value: list[str]) -> None:
        self.value = value

    @property
    def items(self) -> int:
        return len(self.value)

    def part(self, first: int, last: int) -> "Paths":
        return Paths(self.value[first:last])


class Files:
    """One input of type `files`."""

    reads_data = False

    def __init__(self, spec: Input, size: Size | None) -> None:
        self._spec = spec
        self._count = size.value if size else DEFAULT_COUNT
        self._encoding = sys.getfilesystemencoding()
        self._prefix = root_of(spec).rstrip("/") + "/"

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        prefix = os.fsencode(self._prefix)
        found = find(self._spec)
        while group := list(islice(found, self._count)):
            yield Slice(join(group, prefix), len(group))

    def load(self, payload: bytes) -> Paths:
        text = payload.decode(self._encoding, "surrogateescape")
        if text[0] == "/":
            return Paths(text.split("\0"))
        prefix = self._prefix
        return Paths([prefix + name for name in text.split("\0")])

    def describe(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        names = self.load(payload).value
        return [FailedItem(names[position]) for position in (range(len(names)) if lost is None else lost)]

    def count(self, payload: bytes) -> int:
        return payload.count(b"\0") + 1

    def freeze(self) -> bytes:
        return b""

    def thaw(self, frozen: bytes) -> None:
        pass


def join(group: list[bytes], prefix: bytes) -> bytes:
    """Absolute paths as a payload: relative to `prefix` if all are below it."""
    if all(path.startswith(prefix) for path in group):
        cut = len(prefix)
        return b"\0".join(path[cut:] for path in group)
    return b"\0".join(group)
