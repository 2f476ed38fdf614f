"""From what programs give as a dataset's `path` to the absolute paths, globs and URLs of an input."""

import glob
import os
import posixpath
import re
from collections.abc import Sequence
from typing import Any

from mpibatch.config.partition_format import with_keys
from mpibatch.errors import WorkspaceError
from mpibatch.sdk.datastore import DataPath, Datastore
from mpibatch.sdk.registries import Registries
from mpibatch.workspace.datastores import is_url

_DATASTORE_URL = re.compile(r"azureml://(?:.*/)?datastores/([^/]+)/paths/(.*)", re.DOTALL)


def resolve_paths(path: Any, partition_format: str | None) -> str | list[str]:
    """path: text, DataPath, (datastore, glob), or a list of these. Raises WorkspaceError."""
    pair = isinstance(path, tuple) and len(path) == 2 and isinstance(path[0], Datastore)
    entries = list(path) if isinstance(path, Sequence) and not isinstance(path, str) and not pair else [path]
    if not entries:
        raise WorkspaceError("a dataset needs a path at least; the list is empty")
    found = [with_keys(_one(entry), partition_format) for entry in entries]
    return found[0] if len(found) == 1 else found


def _one(entry: Any) -> str:
    match entry:
        case DataPath():
            folder, below = entry.datastore.address, entry.path_on_datastore.lstrip("/")
        case (Datastore() as datastore, str(below)):
            folder, below = datastore.address, below.lstrip("/")
        case str():
            if (match := _DATASTORE_URL.fullmatch(entry)) is not None:
                return _one((Datastore(Registries(), match[1]), match[2]))
            if is_url(entry):
                return entry
            folder, below = os.getcwd(), os.path.expanduser(entry)
        case os.PathLike():
            return os.path.abspath(str(entry))
        case _:
            raise WorkspaceError(
                f"a dataset's path is {entry!r}; it must be text, a DataPath, (datastore, path), or a list of these"
            )
    return _join(folder, below)


def _join(folder: str, below: str) -> str:
    """A folder with glob characters in its own name stays plain."""
    if is_url(folder):
        return posixpath.join(folder, below) if below else folder
    plain = os.path.normpath(os.path.join(folder, below))
    if os.path.lexists(plain) or not glob.has_magic(below):
        return plain
    return os.path.join(glob.escape(folder), below)
