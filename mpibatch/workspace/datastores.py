"""Datastores: a name for a folder or an fsspec address, so that programs name no place.

The descriptor's data is {"path": ABSOLUTE PATH OR URL}; the latest version counts. `workspaceblobstore` is always
there: a folder of the workspace itself.
"""

import os
import re
from pathlib import Path

from mpibatch.errors import WorkspaceError
from mpibatch.files import read_json, write_json
from mpibatch.workspace.catalogue import Catalogue, nearest_first

BUILT_IN = "workspaceblobstore"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(path: str) -> bool:
    return _URL.match(path) is not None


class DatastoreRegistry:
    """The datastores of one workspace."""

    def __init__(self, home: Path) -> None:
        self.catalogue = Catalogue(home, "datastores")
        self._built_in = home / "data" / BUILT_IN
        self._settings = home / "settings.json"

    def register(self, name: str, path: str, *, overwrite: bool = False, description: str = "") -> str:
        """Gives `path`, a folder or a URL, a name; the address as it is kept. Raises WorkspaceError."""
        address = path if is_url(path) else os.path.abspath(os.path.expanduser(path))
        if not is_url(path) and not os.path.isdir(address):
            raise WorkspaceError(f"datastore {name!r} cannot be registered: {address} is no folder")
        if name in self.names() and self.address(name) == address:
            return address
        if not overwrite and name in self.names():
            raise WorkspaceError(
                f"datastore {name!r} is there already, and is {self.address(name)}. To change it: overwrite=True, or "
                f"`mpibatch datastores register --overwrite {name} PATH`"
            )
        self.catalogue.add(name, {"path": address}, description=description)
        return address

    def address(self, name: str) -> str:
        """The folder or URL. Raises WorkspaceError."""
        known = self.catalogue.versions(name)
        if name == BUILT_IN and not known:
            return self._made()
        if not known:
            raise WorkspaceError(
                f"there is no datastore {name!r}: {nearest_first(name, self.names())}. "
                f"`mpibatch datastores register {name} PATH` makes it"
            )
        return str(self.catalogue.get(name).data["path"])

    def names(self) -> list[str]:
        return sorted({BUILT_IN, *self.catalogue.names()})

    @property
    def default(self) -> str:
        """The default datastore's name."""
        return str(read_json(self._settings)["default_datastore"]) if self._settings.exists() else BUILT_IN

    def set_default(self, name: str) -> None:
        """Raises WorkspaceError for an unknown name."""
        self.address(name)
        self._settings.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._settings, {"default_datastore": name})

    def _made(self) -> str:
        try:
            self._built_in.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(
                f"the workspace cannot be written: {self._built_in}: {error.strerror}. Set MPIBATCH_HOME to a folder "
                "of your own"
            ) from error
        return os.fspath(self._built_in)
