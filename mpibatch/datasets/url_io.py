"""Inputs behind fsspec URLs (s3://, gs://, https://, ...): listing, sizes, reading.

Credentials and endpoints come from the environment only, as the file system's own library reads them (for S3
AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, ...): a job file never holds them. The library of a protocol
(s3fs, gcsfs, ...) is the user's to install.
"""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from mpibatch.config.schema import Input
from mpibatch.errors import InputError

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
