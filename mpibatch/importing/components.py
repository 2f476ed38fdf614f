"""Nodes of a pipeline: what `component:` says, under what the node says itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpibatch.config.document import read_document
from mpibatch.importing.notes import Imported, ImportProblem


@dataclass(frozen=True, slots=True)
class Node:
    """One job of a pipeline.

    data:     all of its keys, its component's among them
    bound:    its own inputs: what is put into those that the component declares
    declared: inputs of the component
    folder:   where relative paths of the component begin
    """

    data: dict[str, Any]
    kind: str
    bound: dict[str, Any]
    declared: dict[str, Any]
    folder: Path

    def inputs(self) -> dict[str, Any]:
        """Values; defaults of the component where nothing is given, None where there is no default."""
        defaults = {
            name: entry.get("default") if isinstance(entry, dict) else entry for name, entry in self.declared.items()
        }
        return {**defaults, **self.bound}

    def own(self, name: str) -> bool:
        """Whether an input comes from the component's file."""
        return name not in self.bound

    def outputs(self) -> dict[str, Any]:
        return dict(self.data.get("outputs") or {})

    def path(self, text: str) -> Path:
        return (self.folder / text.removeprefix("file:")).absolute()


def merge_component(name: str, node: Any, folder: Path, made: Imported) -> Node:
    """Raises ImportProblem for a component of a registry, and for kinds of jobs that there are not."""
    where = f"jobs.{name}"
    if not isinstance(node, dict):
        raise ImportProblem(f"{where} is no mapping")
    component, home = node.get("component"), folder
    if isinstance(component, str):
        if component.startswith("azureml:"):
            raise ImportProblem(
                f"{where}: the component {component} is in a registry of Azure; save it as a file first"
            )
        file = folder / component.removeprefix("file:")
        component, home = read_document(str(file)), file.absolute().parent
    declared = dict((component or {}).get("inputs") or {})
    own = {key: value for key, value in node.items() if key != "component" and value is not None}
    outputs = {**((component or {}).get("outputs") or {})}
    for key, value in (own.get("outputs") or {}).items():
        outputs[key] = {**(outputs.get(key) or {}), **(value if isinstance(value, dict) else {})}
    data = {**(component or {}), **own, "outputs": outputs}
    kind = str(data.get("type") or ("parallel" if "task" in data else "command"))
    if component is not None and component.get("type"):
        kind = str(component["type"])
    if kind not in ("parallel", "command"):
        raise ImportProblem(f"{where} is of type {kind}; there are parallel and command")
    return Node(data, kind, dict(own.get("inputs") or {}), declared, home)
