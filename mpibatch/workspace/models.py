"""Models in the workspace: files that scripts use by name, copied in once, a version each time.

    a file --copied--> <version>/<name of the file>      a folder --copied--> <version>/<name of the folder>/
    a tar  --unpacked--> <version>/<name without .tar.gz>/    if nothing in it reaches outside

The descriptor's data is {"root": NAME}: what is in the version's folder.
"""

import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mpibatch.errors import WorkspaceError
from mpibatch.workspace.catalogue import Catalogue, Entry, parse_reference

TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model that something uses, its version settled. path: of its file or folder."""

    name: str
    version: int
    path: str

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


class ModelRegistry:
    """The models of one workspace."""

    def __init__(self, home: Path) -> None:
        self.catalogue = Catalogue(home, "models")

    def register(
        self,
        name: str,
        path: Path,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Entry:
        """The next version of a model. Raises WorkspaceError."""
        if not path.exists():
            raise WorkspaceError(f"model {name!r} cannot be registered: there is no file or folder {path}")
        tar = next((suffix for suffix in TAR if path.name.endswith(suffix) and path.is_file()), None)
        resolved = path.resolve().name if path.name in ("", ".", "..") else path.name
        root = resolved.removesuffix(tar or "") or "model"

        def fill(folder: Path) -> None:
            if tar is not None:
                unpack(path, folder / root)
            elif path.is_dir():
                shutil.copytree(path, folder / root)
            else:
                shutil.copy2(path, folder / root)

        try:
            return self.catalogue.add(
                name, {"root": root}, description=description, tags=tags, properties=properties, fill=fill
            )
        except shutil.Error as error:
            raise WorkspaceError(f"model {name!r} cannot be copied from {path}: {error}") from error

    def path_of(self, entry: Entry) -> Path:
        """The model's file or folder."""
        return self.catalogue.files_of(entry.name, entry.version) / str(entry.data.get("root", ""))

    def resolve(self, text: str) -> ModelReference:
        """NAME or NAME:VERSION as the files that are meant now. Raises WorkspaceError."""
        name, version = parse_reference(text)
        entry = self.catalogue.get(name, version)
        return ModelReference(name, entry.version, os.fspath(self.path_of(entry)))


def unpack(tar: Path, folder: Path) -> None:
    """Unpacks into the new `folder`. Raises WorkspaceError where a member could reach outside, or is no plain thing."""
    try:
        with tarfile.open(tar) as archive:
            members = archive.getmembers()
            for member in members:
                _check(tar, member)
            folder.mkdir()
            archive.extractall(folder, members, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise WorkspaceError(f"{tar} cannot be unpacked: {error}") from error


def _check(tar: Path, member: tarfile.TarInfo) -> None:
    """What the standard library's filter would mend in silence, or refuse without saying what to do."""
    path = PurePosixPath(member.name)
    target = PurePosixPath(member.linkname)
    if path.is_absolute() or ".." in path.parts:
        wrong = "its path leads out of the archive"
    elif (member.issym() or member.islnk()) and (target.is_absolute() or _leaves(path, target, member.issym())):
        wrong = f"it is a link to {member.linkname!r}, outside the archive"
    elif not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        wrong = "it is a device or a pipe"
    else:
        return
    raise WorkspaceError(f"{tar} is not unpacked, since of its member {member.name!r}: {wrong}. Nothing was registered")


def _leaves(path: PurePosixPath, target: PurePosixPath, relative: bool) -> bool:
    """Whether a link's target is outside. relative: to the link's own folder, as that of a symbolic link is."""
    depth = len(path.parts) - 1 if relative else 0
    for part in target.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False
