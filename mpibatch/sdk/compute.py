"""Azure's compute targets: names with a number of nodes. Their steps run where the workspace's default says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mpibatch.sdk.notices import notify
from mpibatch.sdk.registries import Registries
from mpibatch.workspace.catalogue import Catalogue


class ComputeTargetException(Exception):
    """There is no compute target of this name: what `try: ComputeTarget(ws, name)` waits for."""


class ComputeTarget:
    """`ComputeTarget(ws, name)` gives the AmlCompute that was created under the name."""

    def __new__(cls, workspace: Registries, name: str, **ignored: Any) -> Any:
        return super().__new__(AmlCompute if cls is ComputeTarget else cls)

    def __init__(self, workspace: Registries, name: str, *, _must_exist: bool = True) -> None:
        """Raises ComputeTargetException where nothing of the name was created."""
        self.workspace = workspace
        self.name = name
        self.type = "AmlCompute"
        self.provisioning_state = "Succeeded"
        catalogue = Catalogue(workspace.home, "compute")
        if not catalogue.versions(name):
            if _must_exist:
                raise ComputeTargetException(f"ComputeTargetNotFound: there is no compute target {name!r}")
            data: dict[str, Any] = {}
        else:
            data = catalogue.get(name).data
        self.vm_size = data.get("vm_size")
        self.scale_settings = ScaleSettings(int(data.get("min_nodes") or 0), int(data.get("max_nodes") or 1))

    @staticmethod
    def create(workspace: Registries, name: str, provisioning_configuration: "ProvisioningConfiguration") -> Any:
        """Keeps the name and the numbers; nothing is provisioned."""
        settings = provisioning_configuration.settings
        Catalogue(workspace.home, "compute").add(name, {key: settings[key] for key in settings if settings[key]})
        notify(f"compute target {name!r} is a name here: its steps run on {workspace.default_compute}")
        return AmlCompute(workspace, name)

    @staticmethod
    def attach(workspace: Registries, name: str, attach_configuration: Any) -> Any:
        return ComputeTarget.create(workspace, name, ProvisioningConfiguration({}))

    @staticmethod
    def list(workspace: Registries) -> list[Any]:
        return [AmlCompute(workspace, name) for name in ComputeTargets(workspace)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace={self.workspace!r}, name={self.name!r})"

    def wait_for_completion(self, show_output: bool = False, **ignored: Any) -> None:
        """Returns at once: there is nothing to wait for."""

    def get_status(self) -> "ComputeStatus":
        return ComputeStatus(self.scale_settings)

    def serialize(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "vmSize": self.vm_size, **self.get_status().serialize()}

    def update(self, **ignored: Any) -> None:
        """Nothing to update."""

    def delete(self) -> None:
        catalogue = Catalogue(self.workspace.home, "compute")
        for version in catalogue.versions(self.name):
            catalogue.remove(self.name, version)


class AmlCompute(ComputeTarget):
    """A name with a largest number of nodes."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "", vm_priority: str = "dedicated", min_nodes: Any = 0, max_nodes: Any = None, **others: Any
    ) -> "ProvisioningConfiguration":
        """Numbers may be text, as environment variables give them."""
        nodes = {"min_nodes": int(min_nodes or 0), "max_nodes": int(max_nodes or 1)}
        return ProvisioningConfiguration({"vm_size": vm_size, "vm_priority": vm_priority, **nodes})


class ComputeInstance(AmlCompute):
    """Likewise."""


@dataclass(frozen=True, slots=True)
class ProvisioningConfiguration:
    """What `create` is given."""

    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScaleSettings:
    """Nodes that a target may have."""

    minimum_node_count: int
    maximum_node_count: int


@dataclass(frozen=True, slots=True)
class ComputeStatus:
    """`get_status()`: always ready."""

    scale_settings: ScaleSettings

    @property
    def current_node_count(self) -> int:
        return self.scale_settings.maximum_node_count

    def serialize(self) -> dict[str, Any]:
        scale = self.scale_settings
        return {
            "allocationState": "Steady",
            "provisioningState": "Succeeded",
            "currentNodeCount": scale.maximum_node_count,
            "scaleSettings": {"minNodeCount": scale.minimum_node_count, "maxNodeCount": scale.maximum_node_count},
            "errors": None,
        }


class ComputeTargets(Mapping[str, Any]):
    """`ws.compute_targets`: an unknown name stands for the default, and a line says so."""

    def __init__(self, workspace: Registries) -> None:
        self._workspace = workspace
        self._names = Catalogue(workspace.home, "compute").names()

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            notify(f"there is no compute target {name!r}; steps on it run on {self._workspace.default_compute}")
        return AmlCompute(self._workspace, name, _must_exist=False)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            return default
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
