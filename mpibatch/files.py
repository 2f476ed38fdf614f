"""Files written so that a reader sees the old content or the new one, and a crash of the machine leaves one of them.

Ground of the house: knows no run directory. What goes wrong is an OSError, which `write_error` puts into words.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mpibatch.errors import RunDirectoryError
from mpibatch.large import RowData


@contextmanager
def replacing(path: Path, durable: bool = True, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A new file, open for writing, that takes the place of `path` where the block ends without an exception.

    durable: content and name are on the disk when the block is left (fsync of the file and of its folder); what is
             rewritten about once a second goes without, since a disk takes tens of milliseconds for it
    mode:    who may read it, less the umask
    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def create_json(path: Path, value: dict[str, Any]) -> bool:
    """Makes `path` with the JSON object `value`, durably; False, and nothing is done, where it is there already.

    By a link, which is atomic on network file systems too: of several processes one makes it, whole from the first
    moment on. Raises RunDirectoryError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    write_json(temporary, value)
    try:
        os.link(temporary, path)
        sync_folder(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def sync_folder(folder: Path) -> None:
    """The names in `folder` survive a crash of the machine from here on, where its file system can do that."""
    with contextlib.suppress(OSError):  # FUSE and some network file systems cannot
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_all(descriptor: int, *parts: RowData) -> None:
    """Writes all of `parts`, one after the other, in as few calls as the system allows. Raises OSError."""
    written = os.writev(descriptor, parts)
    if written < sum(map(len, parts)):  # 2 GiB are the most in one call
        for part in parts:
            rest, written = memoryview(part)[written:], max(0, written - len(part))
            while rest:
                rest = rest[os.write(descriptor, rest) :]


def write_json(path: Path, value: dict[str, Any], durable: bool = True, mode: int = 0o666) -> None:
    """Replaces `path` by the JSON object `value`, as `replacing` does. Raises RunDirectoryError."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    try:
        with replacing(path, durable, mode) as file:
            file.write(text.encode("utf-8", "backslashreplace"))  # of a path that is no UTF-8: escapes
    except OSError as error:
        raise write_error(path, error) from error


def read_json(path: Path) -> dict[str, Any]:
    """Raises RunDirectoryError where the file is missing or is no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"cannot read {path}: {error}. Is {path.parent} a run directory?") from error
    if not isinstance(value, dict):
        raise RunDirectoryError(f"{path} holds no JSON object. Is {path.parent} a run directory?")
    return value


def write_error(path: Path, error: OSError) -> RunDirectoryError:
    """What to tell of a file in a run directory that could not be written."""
    if not path.parent.exists():
        return RunDirectoryError(
            f"{path.parent} is gone: it was deleted, or its file system is away, while the run was at work"
        )
    return RunDirectoryError(
        f"cannot write {path}: {error.strerror or error}. The results log has all that was done before: make room, or "
        "make it writable, then continue with `mpibatch resume`."
    )
