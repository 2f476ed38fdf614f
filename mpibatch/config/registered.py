"""What job files name of the workspace: models and datasets, with the version that each is now.

    side_inputs: {model: digits}      -->  {model: "digits:3", path: /home/models/digits/3/digits.keras}
    inputs:      {dataset: images}    -->  {dataset: "images:2", type: files, path: /data/images}

What finds them is handed in, since where they are kept is no matter of job files.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from mpibatch.config.problems import Key, Problems
from mpibatch.errors import UsageError


class Registered(Protocol):
    """Finds what NAME or NAME:VERSION stands for. Both raise UsageError where there is none."""

    def model(self, reference: str) -> tuple[str, str]:
        """NAME:VERSION and an absolute path."""

    def dataset(self, reference: str) -> tuple[str, dict[str, Any]]:
        """NAME:VERSION and the entry of `inputs:` that it is, its paths absolute."""


class NoWorkspace:
    """For jobs of programs that have none."""

    def model(self, reference: str) -> tuple[str, str]:
        raise UsageError(f"there is no workspace here that could have a model {reference!r}")

    def dataset(self, reference: str) -> tuple[str, dict[str, Any]]:
        raise UsageError(f"there is no workspace here that could have a dataset {reference!r}")


NO_WORKSPACE = NoWorkspace()


def find_models(section: object, registered: Registered, problems: Problems) -> object:
    """`side_inputs` with the path and version of each model in it."""
    if not isinstance(section, dict):
        return section
    return {name: _with_model(str(name), entry, registered, problems) for name, entry in section.items()}


def find_datasets(section: object, registered: Registered, problems: Problems) -> object:
    """`inputs` with what each dataset in it is. Settings beside `dataset` take the place of the dataset's own."""
    if not isinstance(section, dict):
        return section
    return {name: _with_dataset(str(name), entry, registered, problems) for name, entry in section.items()}


def _with_model(name: str, entry: object, registered: Registered, problems: Problems) -> object:
    if not isinstance(entry, dict) or not isinstance(entry.get("model"), str):
        return entry
    key = ("side_inputs", name, "model")
    if _has_more(entry, ["path"], key, problems):
        return entry
    try:
        version, path = registered.model(entry["model"])
    except UsageError as error:
        problems.add(key, f"cannot be used: {error}")
        return entry
    return {**entry, "model": version, "path": path}


def _with_dataset(name: str, entry: object, registered: Registered, problems: Problems) -> object:
    if not isinstance(entry, dict) or not isinstance(entry.get("dataset"), str):
        return entry
    key = ("inputs", name, "dataset")
    if _has_more(entry, ["type", "path"], key, problems):
        return entry
    try:
        version, data = registered.dataset(entry["dataset"])
    except UsageError as error:
        problems.add(key, f"cannot be used: {error}")
        return entry
    return {**data, **entry, "dataset": version}


def _has_more(entry: Mapping[str, object], others: list[str], key: Key, problems: Problems) -> bool:
    """Whether the entry says in two ways what is meant, which is a problem."""
    found = [other for other in others if other in entry]
    for other in found:
        problems.add(key, f"cannot be combined with {other}; keep one of the two")
    return bool(found)
