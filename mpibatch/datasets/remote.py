"""Inputs behind fsspec URLs (s3://, gs://, https://, ...): listing, sizes, reading.

Credentials and endpoints come from the environment only, as the file system's own library reads them (for S3
AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, ...): a job file never holds them. The library of a protocol
(s3fs, gcsfs, ...) is the user's to install.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, cast

from mpibatch.config.schema import Input, Size
from mpibatch.datasets import paths
from mpibatch.datasets.base import FailedItem, LoadError
from mpibatch.datasets.files import DEFAULT_COUNT, Paths
from mpibatch.errors import InputError
from mpibatch.types import Map, Slice

_READ_AHEAD = 1 << 20  # bytes: a slice is read in one request, a boundary in another


def find(spec: Input, url: str, hidden: bool) -> Iterator[bytes]:
    """URLs of the files that a URL names: a file, all below a folder, or what a glob matches; bytewise."""
    system, path = _open(spec, url)
    try:
        if _is_glob(path):
            names = [name for name, entry in system.glob(path, detail=True).items() if entry["type"] == "file"]
        elif system.isdir(path):
            below = len(path.rstrip("/")) + 1
            names = [name for name in system.find(path) if hidden or not _is_hidden(name[below:])]
        else:
            names = [path] if system.exists(path) else []
    except (OSError, ValueError) as error:
        raise InputError(f"input {spec.name!r}: {url!r} cannot be listed: {error}") from error
    for name in sorted(os.fsencode(name) for name in names):
        yield os.fsencode(system.unstrip_protocol(os.fsdecode(name)))


def open_file(url: str) -> BinaryIO:
    """A seekable file. Raises OSError."""
    system, path = _split(url)
    return cast(BinaryIO, system.open(path, "rb", block_size=_READ_AHEAD))


def file_size(url: str) -> int:
    """In bytes. Raises OSError."""
    system, path = _split(url)
    size = system.size(path)
    if size is None:
        raise OSError(f"the server does not tell the size of {url}")
    return int(size)


def download(url: str, target: str) -> None:
    """Copies a file here. Raises OSError."""
    system, path = _split(url)
    system.get_file(path, target)


def _open(spec: Input, url: str) -> tuple[Any, str]:
    try:
        return _split(url)
    except ImportError as error:
        raise InputError(f"input {spec.name!r}: {url!r} needs a library that is not installed: {error}") from error
    except ValueError as error:
        raise InputError(f"input {spec.name!r}: {url!r}: {error}") from error


def _split(url: str) -> tuple[Any, str]:
    import fsspec

    system, path = fsspec.core.url_to_fs(url)
    return system, path


def _is_glob(path: str) -> bool:
    return any(character in path for character in "*?[")


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


class RemoteFiles:
    """An input of type `files` behind URLs: files are copied here, to be opened by the paths that `run` gets.

    The copies are in a temporary folder (TMPDIR) of their own, below which they have the URL's path. They
    are deleted when the mini-batch is: a script that needs one for longer copies it.
    """

    reads_data = True

    def __init__(self, spec: Input, size: Size | None) -> None:
        self._spec = spec
        self._count = size.value if size else DEFAULT_COUNT

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        found = paths.find(self._spec)
        while group := list(islice(found, self._count)):
            yield Slice(b"\0".join(group), len(group))

    def load(self, payload: bytes) -> Paths:
        folder = tempfile.mkdtemp(prefix="mpibatch-")
        loaded = LocalCopies([])
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

    def describe(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        names = self._names(payload)
        return [FailedItem(names[at]) for at in (range(len(names)) if lost is None else lost)]

    def count(self, payload: bytes) -> int:
        return len(self._names(payload))

    def freeze(self) -> bytes:
        return b""

    def thaw(self, frozen: bytes) -> None:
        pass

    def _names(self, payload: bytes) -> list[str]:
        return [os.fsdecode(name) for name in payload.split(b"\0")]


class LocalCopies(Paths):
    """A mini-batch of copies, which live as long as it or any part of it."""

    __slots__ = ("__weakref__", "_whole")

    def __init__(self, value: list[str], whole: "LocalCopies | None" = None) -> None:
        super().__init__(value)
        self._whole = whole

    def part(self, first: int, last: int) -> "LocalCopies":
        return LocalCopies(self.value[first:last], self)
