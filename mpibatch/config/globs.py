"""The fixed part of a glob: what can be told of a path from the job file alone, without the file system."""

import os
import re
from collections.abc import Iterable

KEY = r"\{(?P<key>[A-Za-z_]\w*)(?::(?P<folders>[1-9]))?\}"
"""A key in a path: `{name}`, or `{name:3}`, which takes three names with the `/` between them."""
MAGIC = re.compile(rf"[*?[]|{KEY}")
"""What makes a path a glob: `*`, `?`, `[...]`, and a key."""


def split_glob(path: str) -> tuple[str, str]:
    """The fixed folder of a glob and the rest; a path that is no glob is all fixed."""
    parts = path.rstrip("/").split("/")
    for position, part in enumerate(parts):
        if MAGIC.search(part):
            return "/".join(parts[:position]) or "/", "/".join(parts[position:])
    return "/".join(parts) or "/", ""


def common_root(paths: Iterable[str]) -> str:
    """The folder that absolute paths and globs have in common, URLs aside; one path that is no glob is its own."""
    fixed = [split_glob(path)[0] for path in paths if "://" not in path]
    return os.path.commonpath(fixed) if fixed else "/"
