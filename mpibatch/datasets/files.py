"""Files as items: a mini-batch is a list of absolute paths; what is in the files is the script's business.

    input --paths.find--> absolute paths --stat, cut by count (map)--> payload (path_codec.py)

Loading joins root and name and asks only whether each file is still the one that was planned. One that is missing is
left to the script: it opens it, or does without.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from mpibatch.config.schema import Input
from mpibatch.config.values import Size
from mpibatch.datasets import file_identity
from mpibatch.datasets.base import FailedItem, FileIdentity, ListBatch
from mpibatch.datasets.path_codec import PathCodec
from mpibatch.datasets.paths import find
from mpibatch.types import Map, Split

DEFAULT_COUNT = 10  # files a mini-batch
ASKED_AT_ONCE = 512  # files that one call of `parallel_map` asks for


class FileDataset:
    """One input of type `files`."""

    reads_data = False
    warnings: Sequence[str] = ()

    def __init__(self, spec: Input, size: Size | None) -> None:
        self._spec = spec
        self._count = size.value if size else DEFAULT_COUNT
        self._codec = PathCodec(spec)
        self._accepts_changes = False

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        """Asking for each file's size and times takes longer than finding it, above all from a file server."""
        found, at_once = find(self._spec), self._count * max(1, ASKED_AT_ONCE // self._count)
        for splits in parallel_map(self.cut, iter(lambda: list(islice(found, at_once)), [])):
            yield from splits

    def cut(self, files: list[bytes]) -> list[Split]:
        """The mini-batches of these files."""
        groups = (files[first : first + self._count] for first in range(0, len(files), self._count))
        return [Split(self.pack(group), len(group)) for group in groups]

    def pack(self, files: list[bytes]) -> bytes:
        """Absolute paths, with what is at each now, as a payload."""
        return self._codec.pack(files, file_identity.packed(files))

    def load(self, payload: bytes) -> ListBatch:
        paths, planned = self._codec.unpack(payload), self._codec.packed_identities(payload)
        if self._accepts_changes or file_identity.are_unknown(planned) or file_identity.packed(paths) == planned:
            return ListBatch(paths)
        for path, identity in zip(paths, file_identity.unpack(planned), strict=True):
            try:
                found = os.stat(path)
            except OSError:
                continue
            file_identity.ensure_unchanged(path, identity, found)
        return ListBatch(paths)

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        return list(zip(self._codec.unpack(payload), self._codec.identities(payload), strict=True))

    def accept_changes(self) -> None:
        self._accepts_changes = True

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        names = self._codec.unpack(payload)
        return [FailedItem(names[position]) for position in (range(len(names)) if lost is None else lost)]

    locate_items = failed_items

    def count_items(self, payload: bytes) -> int:
        return self._codec.count(payload)

    def dump_state(self) -> bytes:
        return b""

    def load_state(self, state: bytes) -> None:
        pass
