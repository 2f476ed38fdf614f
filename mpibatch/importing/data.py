"""Inputs of v2 jobs: data with a path, models, and plain values."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpibatch.config.mltable import read_mltable
from mpibatch.errors import UsageError, WorkspaceError
from mpibatch.importing.notes import Imported, ImportProblem
from mpibatch.sdk.dataset_paths import resolve_paths
from mpibatch.sdk.registries import Registries

_MODELS = ("custom_model", "mlflow_model", "triton_model")
_DATA = ("uri_folder", "uri_file", "mltable", *_MODELS)


@dataclass(frozen=True, slots=True)
class DataInput:
    """entry: of `inputs:`. model: NAME:VERSION where it is a registered one."""

    entry: dict[str, Any]
    model: str | None = None

    def to_input(self) -> dict[str, Any]:
        return dict(self.entry)

    def to_side_input(self) -> dict[str, Any]:
        return {"model": self.model} if self.model else {"path": self.entry["path"]}


def read_data(where: str, value: Any, folder: Path, made: Imported) -> Any:
    """A DataInput, or the plain value. Raises ImportProblem."""
    if not isinstance(value, dict):
        return value
    kind, path = value.get("type"), value.get("path")
    if path is None:
        return value.get("value", value.get("default"))
    if kind not in (None, *_DATA):
        return literal(str(path))
    if str(path).startswith("azureml:") and not str(path).startswith("azureml://"):
        return _registered(where, str(path).removeprefix("azureml:"), str(kind), folder, made)
    if str(path).startswith("azureml://"):
        return DataInput({"type": "files", "path": resolve_paths(str(path), None)})
    return _local(where, str(path), str(kind), folder, made)


def literal(text: str) -> Any:
    """A number where the text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _registered(where: str, name: str, kind: str, folder: Path, made: Imported) -> DataInput:
    """`azureml:NAME:VERSION`: of this workspace; what the v2 SDK dumps for a local path has this form too."""
    bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdecimal() else name.removesuffix("@latest")
    if (folder / bare).exists() or os.path.isabs(bare):
        return _local(where, bare, kind, folder, made)
    registries = Registries()
    if kind in _MODELS:
        made.note(where, f"the model {name} must be in the workspace: mpibatch models register {bare} PATH")
        return DataInput({"type": "files", "path": "."}, name)
    try:
        entry = dict(registries.dataset_registry.resolve(name).data)
    except WorkspaceError as error:
        raise ImportProblem(f"{where}: azureml:{name}: {error}. Register it first, or give a path") from None
    entry.pop("partition_keys", None)
    return DataInput(entry)


def _local(where: str, path: str, kind: str, folder: Path, made: Imported) -> DataInput:
    if "://" in path:
        return DataInput({"type": "files", "path": path})
    absolute = folder / path.removeprefix("file:")
    if kind == "mltable":
        return DataInput(_table(absolute, where, made))
    return DataInput({"type": "files", "path": os.path.normpath(absolute)})


def _table(folder: Path, where: str, made: Imported) -> dict[str, Any]:
    try:
        table = read_mltable(os.path.normpath(folder))
    except UsageError as error:
        raise ImportProblem(f"{where}: {error}") from None
    for what in table.left_out:
        made.note(where, f"{what} has no counterpart")
    return table.entry
