"""partition_format, as Azure has it: the ends of paths, with keys in them; as a path with `{key}` of ours.

data/ + /{user}/{day:yyyy-MM-dd}/*.png  -->  data/{user}/{day}/*.png
data/ + /{user}/{day:yyyy/MM/dd}/*.png  -->  data/{user}/{day:3}/*.png
"""

import os
import re

from mpibatch.workspace.datastores import is_url

PATH_COLUMN = "Path"
"""What Azure calls the column that holds the path of a row's file."""

_DATES = re.compile(r"\{([A-Za-z_]\w*):([^{}]*)\}")
_KEY = re.compile(r"\{([A-Za-z_]\w*)(?::[^{}]*)?\}")


def with_keys(path: str, partition_format: str | None) -> str:
    """The path with the keys of the format in it.

    The format is the end of each file's path; folders with which it begins may be the last of `path` too.
    """
    if not partition_format:
        return path
    parts = path.rstrip("/").split("/") if is_url(path) else [part for part in path.split("/") if not is_glob(part)]
    wanted = _DATES.sub(_key, partition_format).strip("/").split("/")
    if parts and parts[-1].endswith(wanted[-1].rpartition(".")[2]) and "." in parts[-1] and os.path.isfile(path):
        parts.pop()  # the path is one file
    fixed = next((position for position, part in enumerate(wanted) if "{" in part), len(wanted))
    overlap = next((size for size in range(fixed, 0, -1) if parts[-size:] == wanted[:size]), 0)
    return "/".join([*parts, *wanted[overlap:]])


def _key(date: re.Match[str]) -> str:
    """A date as a key, of as many folders as its format has."""
    folders = date[2].count("/") + 1
    return f"{{{date[1]}:{folders}}}" if folders > 1 else f"{{{date[1]}}}"


def is_glob(part: str) -> bool:
    return any(character in part for character in "*?[")


def keys_of(partition_format: str | None) -> list[str]:
    """The keys that a format names, in their order."""
    return _KEY.findall(partition_format or "")
