"""Named things with versions, kept as files that many processes and hosts may add to at once.

    add --mkdir <name>/<version>/--> the version is this process's --fill, then <version>.json--> everybody sees it

Making a folder is atomic on every file system, NFS too, and fails where it exists: that is all the locking there is.
A process that dies half-way leaves a number that is never used, and nothing that can be seen.
"""

import difflib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mpibatch.errors import RunDirectoryError, WorkspaceError
from mpibatch.files import read_json, write_json

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._ -]{0,198}[A-Za-z0-9._-])?")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a named thing.

    created: UTC
    data:    what it is, as its kind has it
    """

    name: str
    version: int
    created: str
    data: dict[str, Any]
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)


class Catalogue:
    """All things of one kind in a workspace."""

    def __init__(self, home: Path, kind: str) -> None:
        """kind: its folder's name, a plural: models."""
        self.folder = home / kind
        self._kind = kind

    def add(
        self,
        name: str,
        data: Mapping[str, Any],
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        fill: Callable[[Path], None] | None = None,
        first: bool = False,
    ) -> Entry:
        """The next version of `name`.

        fill:  puts files into the folder that it is given, which is the version's own (`files_of`)
        first: only as version 1; a FileExistsError where there is one, or somebody makes it
        Raises WorkspaceError where the name is none or the workspace cannot be written, and what `fill` raises.
        """
        check_name(self._kind, name)
        version, folder = self._reserve(name, first)
        try:
            if fill is not None:
                fill(folder)
            entry = Entry(
                name,
                version,
                time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                dict(data),
                description,
                dict(tags or {}),
                dict(properties or {}),
            )
            write_json(self._file(name, version), asdict(entry))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise self._unwritable(error) from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return entry

    def get(self, name: str, version: int | None = None) -> Entry:
        """One version, None for the latest. Raises WorkspaceError, which names what there is, the nearest first."""
        numbers = self.versions(name)
        if not numbers:
            raise WorkspaceError(f"there is no {self._one} {name!r}: {nearest_first(name, self.names())}{self._where}")
        if version is not None and version not in numbers:
            listed = ", ".join(map(str, numbers))
            raise WorkspaceError(f"{self._one} {name!r} has no version {version}, only {listed}{self._where}")
        return self._read(name, version or numbers[-1])

    def names(self) -> list[str]:
        """All names that have a version, sorted."""
        return sorted(name for name in _listing(self.folder) if self.versions(name))

    def versions(self, name: str) -> list[int]:
        """The versions of a name, ascending; none for an unknown one."""
        if not _NAME.fullmatch(name):
            return []
        files = (file.removesuffix(".json") for file in _listing(self.folder / name) if file.endswith(".json"))
        return sorted(int(number) for number in files if _VERSION.fullmatch(number))

    def latest(self) -> Iterator[Entry]:
        """The latest version of each name."""
        return (self.get(name) for name in self.names())

    def all(self) -> Iterator[Entry]:
        """Every version of each name."""
        return (self._read(name, version) for name in self.names() for version in self.versions(name))

    def remove(self, name: str, version: int) -> None:
        """Forgets one version; its number is not used again. Raises WorkspaceError."""
        self.get(name, version)
        try:
            self._file(name, version).unlink(missing_ok=True)
            for path in self.files_of(name, version).iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def files_of(self, name: str, version: int) -> Path:
        """The folder of what belongs to a version."""
        return self.folder / name / str(version)

    def _reserve(self, name: str, first: bool) -> tuple[int, Path]:
        parent = self.folder / name
        try:
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                taken = [int(text) for text in _listing(parent) if _VERSION.fullmatch(text)]
                version = 1 if first else max(taken, default=0) + 1
                try:
                    self.files_of(name, version).mkdir()
                except FileExistsError:
                    if first:
                        raise
                    continue
                return version, self.files_of(name, version)
        except OSError as error:
            if first and isinstance(error, FileExistsError):
                raise
            raise self._unwritable(error) from error

    def _read(self, name: str, version: int) -> Entry:
        try:
            value = read_json(self._file(name, version))
        except RunDirectoryError as error:
            raise WorkspaceError(
                f"{self._one} {name!r} version {version} cannot be read: {self._file(name, version)} is damaged "
                f"or was removed just now ({error.__cause__})"
            ) from None
        known = {entry.name for entry in fields(Entry)}
        return Entry(**{key: value[key] for key in value.keys() & known})

    def _file(self, name: str, version: int) -> Path:
        return self.folder / name / f"{version}.json"

    @property
    def _one(self) -> str:
        return self._kind.removesuffix("s")

    @property
    def _where(self) -> str:
        return f" (workspace {self.folder.parent})"

    def _unwritable(self, error: OSError) -> WorkspaceError:
        return WorkspaceError(
            f"the workspace {self.folder.parent} cannot be written: {error.filename or self.folder}: "
            f"{error.strerror or error}. Make it writable, or set MPIBATCH_HOME to a folder of your own."
        )


def check_name(kind: str, name: object) -> None:
    """Raises WorkspaceError unless `name` is fit for a folder on any file system."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise WorkspaceError(
            f"{name!r} is no name for {kind}: letters, digits, spaces and . _ - are, beginning with a letter, a digit "
            "or _, at most 200 of them"
        )


def parse_reference(text: str) -> tuple[str, int | None]:
    """NAME, NAME:VERSION or NAME:latest; None is the latest. Raises WorkspaceError."""
    name, colon, version = text.removeprefix("azureml:").removesuffix("@latest").partition(":")
    if not colon or version == "latest":
        return name, None
    return name, parse_version(version)


def parse_version(version: object) -> int | None:
    """A version as programs and files give it: 3, "3", "latest" or None. Raises WorkspaceError."""
    if version is None or version == "latest":
        return None
    if isinstance(version, bool) or not _VERSION.fullmatch(str(version)):
        raise WorkspaceError(f"{version!r} is no version: versions are 1, 2, 3 ... or latest")
    return int(str(version))


def nearest_first(name: str, names: Iterable[str]) -> str:
    """What there is, what was probably meant first."""
    known = list(names)
    close = difflib.get_close_matches(name[:200], known, n=3)
    ordered = [*close, *(other for other in known if other not in close)]
    return f"there are {', '.join(ordered)}" if ordered else "there are none at all"


def _listing(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise WorkspaceError(f"{folder} of the workspace cannot be listed: {error.strerror}") from error
