"""What job files may name of a workspace: see config/registered.py, which asks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpibatch.workspace.datasets import DatasetRegistry
from mpibatch.workspace.home import find_home
from mpibatch.workspace.models import ModelRegistry


class RegisteredInWorkspace:
    """Finds models and datasets by NAME or NAME:VERSION. The workspace is only looked for when one is asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def model(self, reference: str) -> tuple[str, str]:
        """NAME:VERSION and the path of its file or folder. Raises WorkspaceError."""
        found = ModelRegistry(self._home).resolve(reference)
        return str(found), found.path

    def dataset(self, reference: str) -> tuple[str, dict[str, Any]]:
        """NAME:VERSION and the entry of a job file's `inputs:`. Raises WorkspaceError."""
        entry = DatasetRegistry(self._home).resolve(reference)
        data = {key: value for key, value in entry.data.items() if key != "partition_keys"}
        return f"{entry.name}:{entry.version}", data

    @property
    def _home(self) -> Path:
        return find_home(self._environment)
