"""An input of type `files` behind fsspec URLs: each mini-batch is copied here for as long as `run` has it."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from mpibatch.config.schema import Input
from mpibatch.config.values import Size
from mpibatch.datasets import paths
from mpibatch.datasets.base import FailedItem, FileIdentity, ListBatch, LoadError
from mpibatch.datasets.files import DEFAULT_COUNT
from mpibatch.datasets.url_io import download
from mpibatch.types import Map, Split


class RemoteFileDataset:
    """An input of type `files` behind URLs: files are copied here, to be opened by the paths that `run` gets.

    The copies are in a temporary folder (TMPDIR) of their own, below which they have the URL's path. They
    are deleted when the mini-batch is: a script that needs one for longer copies it.
    """

    reads_data = True
    warnings: Sequence[str] = ()

    def __init__(self, spec: Input, size: Size | None) -> None:
        self._spec = spec
        self._count = size.value if size else DEFAULT_COUNT

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        found = paths.find(self._spec)
        while group := list(islice(found, self._count)):
            yield Split(b"\0".join(group), len(group))

    def load(self, payload: bytes) -> ListBatch:
        folder = tempfile.mkdtemp(prefix="mpibatch-")
        loaded = LocalCopyBatch([])
        weakref.finalize(loaded, shutil.rmtree, folder, ignore_errors=True)
        for name in self._names(payload):
            if "://" not in name:
                loaded.value.append(name)
                continue
            target = os.path.normpath(os.path.join(folder, *name.split("://", 1)[1].split("/")))
            if not target.startswith(folder + "/"):
                raise LoadError(f"{name}: the name leads out of any folder that it is copied to")
            try:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                download(name, target)
            except OSError as error:
                raise LoadError(f"{name}: {error.strerror or error}") from error
            loaded.value.append(target)
        return loaded

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        return []

    def accept_changes(self) -> None:
        pass

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        names = self._names(payload)
        return [FailedItem(names[at]) for at in (range(len(names)) if lost is None else lost)]

    locate_items = failed_items

    def count_items(self, payload: bytes) -> int:
        return len(self._names(payload))

    def dump_state(self) -> bytes:
        return b""

    def load_state(self, state: bytes) -> None:
        pass

    def _names(self, payload: bytes) -> list[str]:
        return [os.fsdecode(name) for name in payload.split(b"\0")]


class LocalCopyBatch(ListBatch):
    """A mini-batch of copies, which live as long as it or any part of it."""

    __slots__ = ("__weakref__", "_whole")

    def __init__(self, value: list[str], whole: "LocalCopyBatch | None" = None) -> None:
        super().__init__(value)
        self._whole = whole

    def slice(self, first: int, last: int) -> "LocalCopyBatch":
        return LocalCopyBatch(self.value[first:last], self)
