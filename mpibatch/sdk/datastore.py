"""Datastore: a name for a folder or an fsspec address; and DataPath, a place below one."""

import importlib.util
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpibatch.errors import WorkspaceError
from mpibatch.sdk.notices import notify
from mpibatch.sdk.registries import Registries


class Datastore:
    """A registered datastore. Raises WorkspaceError where there is none of the name.

    address: its folder or URL
    """

    def __init__(self, workspace: Registries | None = None, name: str | None = None) -> None:
        self.workspace = workspace or Registries()
        self.name = name or self.workspace.datastore_registry.default
        self.address = self.workspace.datastore_registry.address(self.name)

    def __repr__(self) -> str:
        return f"Datastore({self.name!r}, {self.address!r})"

    @staticmethod
    def register(workspace: Registries, datastore_name: str, path: str, overwrite: bool = False) -> "Datastore":
        """path: a folder, or an fsspec address such as s3://bucket/folder."""
        workspace.datastore_registry.register(datastore_name, os.fspath(path), overwrite=overwrite)
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get(workspace: Registries, datastore_name: str) -> "Datastore":
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get_default(workspace: Registries) -> "Datastore":
        return Datastore(workspace)

    @staticmethod
    def register_azure_blob_container(
        workspace: Registries, datastore_name: str, container_name: str, account_name: str, **ignored: Any
    ) -> "Datastore":
        """The place that `mpibatch datastores register` gave the name; else the container, where adlfs is installed."""
        return _register_azure(
            workspace, datastore_name, f"abfs://{container_name}@{account_name}.dfs.core.windows.net/"
        )

    @staticmethod
    def register_azure_data_lake_gen2(
        workspace: Registries, datastore_name: str, filesystem: str, account_name: str, **ignored: Any
    ) -> "Datastore":
        return _register_azure(workspace, datastore_name, f"abfs://{filesystem}@{account_name}.dfs.core.windows.net/")

    @staticmethod
    def register_azure_file_share(
        workspace: Registries, datastore_name: str, file_share_name: str, account_name: str, **ignored: Any
    ) -> "Datastore":
        return _register_azure(workspace, datastore_name, None)

    def set_as_default(self) -> None:
        self.workspace.set_default_datastore(self.name)

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> "DataReference":
        """A place below this datastore."""
        return DataReference(self, data_reference_name, path)

    def upload(
        self,
        src_dir: str,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> "DataReference":
        """Copies all files below `src_dir`."""
        files = [os.path.join(top, name) for top, _, names in os.walk(src_dir) for name in sorted(names)]
        return self.upload_files(files, src_dir, target_path, overwrite, show_progress)

    def upload_files(
        self,
        files: list[str],
        relative_root: str | None = None,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> "DataReference":
        """Copies files; what is there already stays unless `overwrite`. Raises WorkspaceError."""
        system, root = self._file_system()
        for file in files:
            name = os.path.relpath(file, relative_root) if relative_root else os.path.basename(file)
            target = posixpath.join(root, (target_path or "").strip("/"), name)
            if not os.path.isfile(file):
                raise WorkspaceError(f"{file} cannot be uploaded: there is no such file")
            if not overwrite and system.exists(target):
                continue
            system.makedirs(posixpath.dirname(target), exist_ok=True)
            system.put_file(file, target)
        return self.path(target_path)

    def download(
        self, target_path: str, prefix: str | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> int:
        """Copies the files whose paths begin with `prefix` to a folder; how many."""
        system, root = self._file_system()
        count = 0
        for source in sorted(system.find(root)):
            name = posixpath.relpath(source, root)
            target = Path(target_path, name)
            if not name.startswith((prefix or "").lstrip("/")) or (target.exists() and not overwrite):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(source, str(target))
            count += 1
        return count

    def _file_system(self) -> tuple[Any, str]:
        import fsspec

        system, root = fsspec.core.url_to_fs(self.address)
        return system, root.rstrip("/") or "/"


@dataclass(frozen=True)
class DataPath:
    """A path, or glob, below a datastore."""

    datastore: Datastore
    path_on_datastore: str = ""
    name: str | None = None

    @property
    def address(self) -> str:
        """The absolute path or URL."""
        below = (self.path_on_datastore or "").lstrip("/")
        return posixpath.join(self.datastore.address, below).rstrip("/") if below else self.datastore.address


class DataReference(DataPath):
    """A DataPath under Azure's older name; how it is mounted has no meaning."""

    def __init__(
        self,
        datastore: Datastore,
        data_reference_name: str | None = None,
        path_on_datastore: str | None = None,
        mode: str = "mount",
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        super().__init__(datastore, path_on_datastore or "", data_reference_name)

    @property
    def data_reference_name(self) -> str | None:
        return self.name

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> "DataReference":
        below = posixpath.join(self.path_on_datastore, path or "")
        return DataReference(self.datastore, data_reference_name, below)

    def as_mount(self) -> "DataReference":
        return self

    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> "DataReference":
        return self

    def as_upload(self, path_on_compute: str | None = None, overwrite: bool = False) -> "DataReference":
        return self


def _register_azure(workspace: Registries, name: str, address: str | None) -> Datastore:
    registry = workspace.datastore_registry
    if name in registry.names():
        notify(f"datastore {name!r} is {registry.address(name)}, as it was declared here; Azure is not asked")
        return Datastore(workspace, name)
    if address is None or importlib.util.find_spec("adlfs") is None:
        wanted = f", {address} needs the package adlfs" if address else ""
        raise WorkspaceError(
            f"datastore {name!r}: nothing here says where its data is{wanted}. Copy the data, or mount it, and name "
            f"the folder first: `mpibatch datastores register {name} PATH`"
        )
    return Datastore.register(workspace, name, address)
