"""Which file the planner saw, so that whoever reads it later knows whether it is that file still.

    plan:    identity_of(path) before the file is looked at --payload--> load: unchanged(...) around each read
                                                        \\--plan.parquet--> resume: difference(...) of each file left

Owner, mode and the time of the inode are no part of it: chmod changes no data.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from mpibatch.datasets.base import FileIdentity, LoadError

_PACKED = struct.Struct("<qqQ")
_NOTHING = _PACKED.pack(-1, 0, 0)
_PASSING_INODES = ("fuse", "cifs", "smb", "9p")  # file systems that may number a file anew, on each node for itself


def of_stat(found: os.stat_result) -> FileIdentity:
    return FileIdentity(found.st_size, found.st_mtime_ns, found.st_ino)


def identity_of(path: str | bytes) -> FileIdentity | None:
    """What is at `path` now; None for what is not there and for URLs, of which nothing is kept."""
    try:
        return of_stat(os.stat(path))
    except (OSError, ValueError):
        return None


def packed(paths: Iterable[str | bytes]) -> bytes:
    """What is at each path now, in as many times `PACKED_BYTES`. Without an object a file: there may be millions."""
    parts = []
    for path in paths:
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            parts.append(_NOTHING)
        else:
            parts.append(_PACKED.pack(found.st_size, found.st_mtime_ns, found.st_ino))
    return b"".join(parts)


def pack(identity: FileIdentity | None) -> bytes:
    """In `PACKED_BYTES`."""
    return _NOTHING if identity is None else _PACKED.pack(*identity)


def are_unknown(data: bytes) -> bool:
    """Whether nothing is known of any of these packed identities, so that there is nothing to compare."""
    return data == _NOTHING * (len(data) // PACKED_BYTES)


def unpack(data: bytes) -> list[FileIdentity | None]:
    return [FileIdentity(*fields) if fields[0] >= 0 else None for fields in _PACKED.iter_unpack(data)]


PACKED_BYTES = _PACKED.size


def difference(planned: FileIdentity | None, found: os.stat_result) -> str:
    """What has changed since the plan was made, in words; "" if nothing has, or nothing is known of then."""
    if planned is None or planned == (found.st_size, found.st_mtime_ns, found.st_ino):
        return ""
    if found.st_size != planned.size:
        return f"it had {planned.size} bytes, and has {found.st_size}"
    if found.st_mtime_ns != planned.mtime_ns:
        return "it was written to"
    return "another file has its name" if _has_lasting_inodes(found.st_dev) else ""


def ensure_unchanged(path: str, planned: FileIdentity | None, found: os.stat_result) -> None:
    """Raises LoadError that names the file and what has changed."""
    if change := difference(planned, found):
        raise LoadError(
            f"{path} has changed since the plan was made: {change}. Rows of old and new data would stand side by "
            "side. Start a new run, or resume with --accept-changed-inputs if they may"
        )


@contextmanager
def unchanged(path: str, planned: FileIdentity | None, descriptor: int) -> Iterator[None]:
    """Around a read from `descriptor`: raises LoadError unless it is the planned file, before and after."""
    ensure_unchanged(path, planned, os.fstat(descriptor))
    yield
    ensure_unchanged(path, planned, os.fstat(descriptor))


@lru_cache(maxsize=64)
def _has_lasting_inodes(device: int) -> bool:
    """Whether a file of this device has the same number on all nodes and at all times."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            fields = [line.split() for line in mounts]
    except OSError:
        return True
    kinds = [words[words.index("-") + 1] for words in fields if words[2] == number]
    return not any(kind.startswith(_PASSING_INODES) for kind in kinds)
