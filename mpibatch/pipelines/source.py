"""The copy of a source_directory that a run keeps: an edit afterwards changes no run under way.

What `.amlignore` names, or where there is none `.gitignore`, is left out (patterns as git has them), and so are version
control, caches of Python, workspaces and the folder of the runs themselves.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from mpibatch.errors import UsageError

LARGEST = 300 * 1024**2
"""Bytes, as in Azure ML: more is data, and belongs into an input or a side input."""
NEVER = {".git", ".hg", ".svn", "__pycache__", ".mpibatch", ".ipynb_checkpoints", ".venv"}


def copy_source(source: Path, target: Path, leave_out: Path) -> None:
    """Copies the folder `source` to `target`, which must be new. leave_out: a folder that may lie in it.

    Raises UsageError where it is too large, OSError.
    """
    files = list(source_files(source, leave_out))
    total = sum((source / name).stat().st_size for name in files if (source / name).exists())
    if total > LARGEST:
        raise UsageError(
            f"the source_directory {source} holds {total / 1e6:.0f} MB, and every run keeps a copy of it: at most "
            f"{LARGEST / 1e6:.0f} MB. Name what scripts do not import in {source / '.amlignore'}, or choose the folder "
            "of the scripts alone"
        )
    target.mkdir(parents=True)
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def source_files(source: Path, leave_out: Path) -> Iterator[str]:
    """The files that a copy has, relative to `source`, sorted. Links are followed to files, not to folders."""
    ignored = _ignored(source)
    for folder, folders, names in os.walk(source):
        here = Path(folder)
        relative = here.relative_to(source)
        folders[:] = sorted(
            name
            for name in folders
            if name not in NEVER and here / name != leave_out and not ignored.match_file(f"{relative / name}/")
        )
        for name in sorted(names):
            if (here / name).is_file() and not ignored.match_file(str(relative / name)):
                yield str(relative / name)


def hash_folder(folder: Path, leave_out: Path) -> str:
    """Of the names and contents of what a copy of `folder` has."""
    digest = hashlib.sha256()
    for name in source_files(folder, leave_out):
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _ignored(source: Path) -> GitIgnoreSpec:
    for name in (".amlignore", ".gitignore"):
        if (source / name).is_file():
            return GitIgnoreSpec.from_lines((source / name).read_text(encoding="utf-8", errors="replace").splitlines())
    return GitIgnoreSpec.from_lines([])
