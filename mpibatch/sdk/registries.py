"""What is behind a workspace: its folder's registries, and where steps run. The other classes hold one of these."""

import os
from pathlib import Path
from typing import Any

from mpibatch.sdk.run_target import parse_compute
from mpibatch.workspace.datasets import DatasetRegistry
from mpibatch.workspace.datastores import DatastoreRegistry
from mpibatch.workspace.home import find_home
from mpibatch.workspace.models import ModelRegistry


class Registries:
    """Of the workspace that MPIBATCH_HOME, or the nearest `.mpibatch` folder, is."""

    def __init__(self) -> None:
        self.home: Path = find_home(os.environ)
        self._default_compute: object = None

    @property
    def model_registry(self) -> ModelRegistry:
        return ModelRegistry(self.home)

    @property
    def dataset_registry(self) -> DatasetRegistry:
        return DatasetRegistry(self.home)

    @property
    def datastore_registry(self) -> DatastoreRegistry:
        return DatastoreRegistry(self.home)

    @property
    def default_compute(self) -> Any:
        """Where steps run whose compute target is none of this machine's: set here, else what MPIBATCH_COMPUTE says."""
        return self._default_compute or parse_compute(os.environ.get("MPIBATCH_COMPUTE", "local"))

    @default_compute.setter
    def default_compute(self, target: object) -> None:
        self._default_compute = target

    def set_default_datastore(self, name: Any) -> None:
        """name: a datastore's, or the datastore. Raises WorkspaceError."""
        self.datastore_registry.set_default(name if isinstance(name, str) else name.name)
