"""Datasets in the workspace: an entry of a job file's `inputs:` under a name, with versions.

The descriptor's data is that entry: {"type": "csv", "path": [...], ...}. Nothing is copied.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpibatch.errors import WorkspaceError
from mpibatch.workspace.catalogue import Catalogue, Entry, parse_reference


class DatasetRegistry:
    """The datasets of one workspace."""

    def __init__(self, home: Path) -> None:
        self.catalogue = Catalogue(home, "datasets")

    def register(
        self,
        name: str,
        data: Mapping[str, Any],
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        create_new_version: bool = False,
    ) -> Entry:
        """A version of `name`; the one there is where that is the same.

        create_new_version: else another dataset of that name is a WorkspaceError
        """
        known = self.catalogue.versions(name)
        if known and (latest := self.catalogue.get(name)).data == dict(data):
            return latest
        try:
            return self.catalogue.add(name, data, description=description, tags=tags, first=not create_new_version)
        except FileExistsError:
            raise WorkspaceError(
                f"dataset {name!r} is there already and is another one; create_new_version=True makes the next version"
            ) from None

    def resolve(self, text: str) -> Entry:
        """NAME or NAME:VERSION. Raises WorkspaceError."""
        return self.catalogue.get(*parse_reference(text))
