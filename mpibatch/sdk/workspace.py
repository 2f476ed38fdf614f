"""Workspace: a name, and the registries behind it. Subscriptions, resource groups and sign-in have no meaning here."""

import importlib
import json
from pathlib import Path
from typing import Any

from mpibatch.errors import WorkspaceError
from mpibatch.sdk.authentication import Keyvault
from mpibatch.sdk.compute import ComputeTargets
from mpibatch.sdk.dataset import Dataset
from mpibatch.sdk.datastore import Datastore
from mpibatch.sdk.environment import Environment
from mpibatch.sdk.model import Model
from mpibatch.sdk.registries import Registries
from mpibatch.workspace.catalogue import Catalogue

CONFIG_FILES = (".azureml/config.json", "aml_config/config.json", "config.json")


class Workspace(Registries):
    """The default workspace, unless MPIBATCH_HOME or a `.mpibatch` folder says otherwise.

    Subscription, resource group and authentication are taken and not used.
    """

    location = "local"

    def __init__(
        self,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        workspace_name: str | None = None,
        auth: object = None,
        **ignored: object,
    ) -> None:
        super().__init__()
        self.name = workspace_name or "default"
        self.subscription_id = subscription_id or ""
        self.resource_group = resource_group or ""

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, home={str(self.home)!r})"

    @staticmethod
    def from_config(
        path: str | None = None, auth: object = None, _logger: object = None, _file_name: str | None = None
    ) -> "Workspace":
        """The workspace that the nearest config.json upwards names; the default one where there is none.

        Raises WorkspaceError for a file that is no JSON object.
        """
        file = _find_config(Path(path or ".").absolute(), _file_name)
        if file is None:
            return Workspace()
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("no JSON object")
        except (OSError, ValueError) as error:
            raise WorkspaceError(f"{file} cannot be read as a workspace's configuration: {error}") from error
        texts = {key: str(value) for key, value in found.items()}
        return Workspace(texts.get("subscription_id"), texts.get("resource_group"), texts.get("workspace_name"))

    @staticmethod
    def get(
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        **ignored: object,
    ) -> "Workspace":
        return Workspace(subscription_id, resource_group, name)

    @staticmethod
    def create(name: str, *arguments: object, **ignored: Any) -> "Workspace":
        return Workspace(ignored.get("subscription_id"), ignored.get("resource_group"), name)

    def write_config(self, path: str | None = None, file_name: str | None = None) -> None:
        """Writes the file that `from_config` finds."""
        file = Path(path or ".", ".azureml", file_name or "config.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        names = {"subscription_id": self.subscription_id, "resource_group": self.resource_group}
        file.write_text(json.dumps({**names, "workspace_name": self.name}, indent=4), encoding="utf-8")

    def get_default_datastore(self) -> Any:
        return Datastore(self, self.datastore_registry.default)

    def get_default_keyvault(self) -> Any:
        return Keyvault()

    # -- mappings from names

    @property
    def datastores(self) -> dict[str, Any]:
        return {name: Datastore(self, name) for name in self.datastore_registry.names()}

    @property
    def datasets(self) -> dict[str, Any]:
        return Dataset.get_all(self)

    @property
    def models(self) -> dict[str, Any]:
        return {name: Model(self, name) for name in self.model_registry.catalogue.names()}

    @property
    def environments(self) -> dict[str, Any]:
        return Environment.list(self)

    @property
    def compute_targets(self) -> "ComputeTargets":
        return ComputeTargets(self)

    @property
    def experiments(self) -> dict[str, Any]:
        # of a package above this one, which only a program that has submitted something needs
        experiment: Any = importlib.import_module("mpibatch.pipelines.api").Experiment
        return {name: experiment(self, name) for name in Catalogue(self.home, "experiments").names()}


def _find_config(start: Path, file_name: str | None) -> Path | None:
    if start.is_file():
        return start
    names = CONFIG_FILES if file_name is None else (f".azureml/{file_name}", file_name)
    return next(
        (folder / name for folder in (start, *start.parents) for name in names if (folder / name).is_file()), None
    )
