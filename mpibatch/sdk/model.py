"""Model: a version of a registered model, as programs and entry scripts see it."""

import os
import shutil
from pathlib import Path
from typing import Any

from mpibatch.errors import WorkspaceError
from mpibatch.sdk.registries import Registries
from mpibatch.sdk.tags import Tags, has_tags, tag_dict
from mpibatch.workspace.catalogue import Entry, parse_reference, parse_version
from mpibatch.workspace.models import ModelRegistry


class Model:
    """One version. Raises WorkspaceError where there is none.

    name:    or id, "NAME:VERSION"
    version: the latest unless given
    tags, properties: with a name, the latest version that has these
    """

    class Framework:
        """Names of frameworks, kept as they are given."""

        CUSTOM, SCIKITLEARN, ONNX, TENSORFLOW = "Custom", "ScikitLearn", "Onnx", "TensorFlow"

    def __init__(
        self,
        workspace: Registries | None = None,
        name: str | None = None,
        id: str | None = None,
        tags: Tags = None,
        properties: Tags = None,
        version: int | str | None = None,
        **ignored: Any,
    ) -> None:
        workspace = workspace or Registries()
        if id is not None:
            name, number = parse_reference(id)
        else:
            number = parse_version(version)
        if name is None:
            raise WorkspaceError("Model needs a name, or an id: NAME:VERSION")
        catalogue = workspace.model_registry.catalogue
        if number is None and (tags or properties):
            matching = _list(workspace, name, tags, properties)
            if not matching:
                raise WorkspaceError(f"no version of model {name!r} has tags {tags!r} and properties {properties!r}")
            number = matching[-1].version
        self._fill(workspace, catalogue.get(name, number))

    def _fill(self, workspace: Registries, entry: Entry) -> None:
        self.workspace = workspace
        self.name = entry.name
        self.version = entry.version
        self.id = f"{entry.name}:{entry.version}"
        self.description = entry.description
        self.tags = dict(entry.tags)
        self.properties = dict(entry.properties)
        self.created_time = entry.created
        self.path = str(workspace.model_registry.path_of(entry))
        self.url = Path(self.path).as_uri()

    def __repr__(self) -> str:
        return f"Model(name={self.name}, version={self.version}, path={self.path}, tags={self.tags})"

    @staticmethod
    def register(
        workspace: Registries,
        model_path: str,
        model_name: str,
        tags: Tags = None,
        properties: Tags = None,
        description: str | None = None,
        **ignored: Any,
    ) -> "Model":
        """Copies a file, a folder or what is in a tar as the next version; from many processes at once too."""
        entry = workspace.model_registry.register(
            model_name,
            Path(model_path),
            description=description or "",
            tags=tag_dict(tags),
            properties=tag_dict(properties),
        )
        return _model(workspace, entry)

    @staticmethod
    def get_model_path(model_name: str, version: int | str | None = None, _workspace: Registries | None = None) -> str:
        """The absolute path of the model's file or folder."""
        registry: ModelRegistry = (_workspace or Registries()).model_registry
        return os.fspath(registry.path_of(registry.catalogue.get(model_name, parse_version(version))))

    @staticmethod
    def list(
        workspace: Registries,
        name: str | None = None,
        tags: Tags = None,
        properties: Tags = None,
        run_id: str | None = None,
        latest: bool = False,
        **ignored: Any,
    ) -> "list[Model]":
        """Newest first. latest: only the latest version of each model."""
        entries = _list(workspace, name, tags, properties)
        if latest:
            entries = list({entry.name: entry for entry in entries}.values())
        return [_model(workspace, entry) for entry in sorted(entries, key=lambda entry: entry.created, reverse=True)]

    def download(self, target_dir: str = ".", exist_ok: bool = False, exists_ok: bool | None = None) -> str:
        """Copies the model into a folder; the path of the copy. Raises WorkspaceError where it is there already."""
        target = Path(target_dir, Path(self.path).name)
        if target.exists() and not (exist_ok or exists_ok):
            raise WorkspaceError(f"{target} is there already; exist_ok=True replaces what is in it")
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.isdir(self.path):
            shutil.copytree(self.path, target, dirs_exist_ok=True)
        else:
            shutil.copy2(self.path, target)
        return os.fspath(target)

    def delete(self) -> None:
        self.workspace.model_registry.catalogue.remove(self.name, self.version)


def _model(workspace: Registries, entry: Entry) -> Model:
    model = Model.__new__(Model)
    model._fill(workspace, entry)
    return model


def _list(workspace: Registries, name: str | None, tags: Tags, properties: Tags) -> list[Entry]:
    """The versions that have all of these, in their order."""
    return [
        entry
        for entry in workspace.model_registry.catalogue.all()
        if name in (None, entry.name) and has_tags(entry.tags, tags) and has_tags(entry.properties, properties)
    ]
