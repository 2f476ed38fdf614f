"""Environments, conda packages, Docker: records. Nothing is built; scripts run in the Python that submits them.

`environment_variables` are set for scripts. `Environment.notes` says in words what is not used, and how the packages
asked for differ from those installed.
"""

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mpibatch.errors import WorkspaceError
from mpibatch.sdk.notices import notify
from mpibatch.sdk.registries import Registries
from mpibatch.workspace.catalogue import Catalogue

DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
_PACKAGE = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class Record:
    """Takes any attribute; one that was not set is another record."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = self.__dict__[name] = Record()
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.__dict__.items())})"


class CondaDependencies(Record):
    """Lists of packages."""

    def __init__(self, conda_dependencies_file_path: str | None = None, **ignored: Any) -> None:
        super().__init__(conda_packages_=[], pip_packages_=[])
        if conda_dependencies_file_path is not None:
            self._read(Path(conda_dependencies_file_path))

    @staticmethod
    def create(
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str | None = None,
        **ignored: Any,
    ) -> "CondaDependencies":
        made = CondaDependencies()
        made.pip_packages_ += list(pip_packages or [])
        made.conda_packages_ += list(conda_packages or [])
        return made

    def add_pip_package(self, pip_package: str) -> None:
        self.pip_packages_.append(pip_package)

    def add_conda_package(self, conda_package: str) -> None:
        self.conda_packages_.append(conda_package)

    def add_channel(self, channel: str) -> None:
        """Nothing is fetched from it."""

    def set_pip_option(self, pip_option: str) -> None:
        """Nothing is installed with it."""

    @property
    def pip_packages(self) -> list[str]:
        return list(self.pip_packages_)

    @property
    def conda_packages(self) -> list[str]:
        return list(self.conda_packages_)

    def _read(self, file: Path) -> None:
        try:
            found = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise WorkspaceError(f"{file} cannot be read as a conda file: {error}") from error
        for entry in (found or {}).get("dependencies") or []:
            if isinstance(entry, Mapping):
                self.pip_packages_ += [str(package) for package in entry.get("pip") or []]
            else:
                self.conda_packages_.append(str(entry))


class DockerConfiguration(Record):
    """Taken, not used."""


class DockerSection(Record):
    """Taken, not used."""


class RSection(Record):
    """Taken, not used."""


class Environment(Record):
    """environment_variables: set for the scripts of a step; values become text."""

    def __init__(self, name: str | None = None, **ignored: Any) -> None:
        super().__init__(name=name or "default", version="1", environment_variables={}, docker=DockerSection())
        self.python = Record(conda_dependencies=CondaDependencies(), user_managed_dependencies=False)

    def notes(self) -> list[str]:
        """What is not used of it: "docker image X", "packages tensorflow==1.13.1 (here 2.21)"."""
        image = self.docker.__dict__.get("base_image")
        found = [f"docker image {image}"] if isinstance(image, str) else []
        packages = self.python.conda_dependencies
        wanted = [*packages.pip_packages, *packages.conda_packages] if isinstance(packages, CondaDependencies) else []
        different = [text for text in map(_difference, wanted) if text]
        return found + ([f"packages {', '.join(different)}"] if different else [])

    @staticmethod
    def from_conda_specification(name: str, file_path: str) -> "Environment":
        made = Environment(name)
        made.python.conda_dependencies = CondaDependencies(file_path)
        return made

    @staticmethod
    def from_pip_requirements(name: str, file_path: str, pip_version: str | None = None) -> "Environment":
        try:
            lines = Path(file_path).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise WorkspaceError(f"{file_path} cannot be read: {error.strerror}") from error
        made = Environment(name)
        packages = [line.strip() for line in lines if _PACKAGE.match(line)]
        made.python.conda_dependencies = CondaDependencies.create(pip_packages=packages)
        return made

    @staticmethod
    def from_docker_image(name: str, image: str, **ignored: Any) -> "Environment":
        made = Environment(name)
        made.docker.base_image = image
        return made

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> "Environment":
        return Environment(name)

    @staticmethod
    def get(workspace: Registries, name: str, version: str | None = None, **ignored: Any) -> "Environment":
        """The registered one; any other name is an empty one, with a line: curated ones are Azure's."""
        catalogue = Catalogue(workspace.home, "environments")
        if not catalogue.versions(name):
            notify(f"environment {name!r} is not registered here; scripts run in this Python")
            return Environment(name)
        entry = catalogue.get(name, int(version) if version else None)
        made = Environment(name)
        made.environment_variables = dict(entry.data["environment_variables"])
        made.python.conda_dependencies = CondaDependencies.create(entry.data["pip"], entry.data["conda"])
        made.version = str(entry.version)
        return made

    @staticmethod
    def list(workspace: Registries) -> "dict[str, Environment]":
        names = Catalogue(workspace.home, "environments").names()
        return {name: Environment.get(workspace, name) for name in names}

    def register(self, workspace: Registries) -> "Environment":
        packages = self.python.conda_dependencies
        data = {
            "environment_variables": self.variables(),
            "pip": packages.pip_packages,
            "conda": packages.conda_packages,
        }
        self.version = str(Catalogue(workspace.home, "environments").add(self.name, data).version)
        return self

    def clone(self, new_name: str) -> "Environment":
        made = Environment(new_name)
        made.__dict__.update({**self.__dict__, "name": new_name})
        return made

    def build(self, workspace: Registries, **ignored: Any) -> Record:
        return Record()

    def variables(self) -> dict[str, str]:
        return {str(name): str(value) for name, value in self.environment_variables.items()}


class RunConfiguration(Record):
    """For PythonScriptStep: `.environment.environment_variables` are set."""

    def __init__(self, *arguments: Any, **ignored: Any) -> None:
        super().__init__(target="local", environment=Environment(), docker=DockerConfiguration())


def _difference(wanted: str) -> str:
    """ "" for a package that is there as it is asked for, and for Azure's own."""
    match = _PACKAGE.match(wanted)
    if match is None or match[1].lower().startswith("azureml") or match[1] in ("python", "pip"):
        return ""
    try:
        version = importlib.metadata.version(match[1])
    except importlib.metadata.PackageNotFoundError:
        return f"{wanted} (not installed)"
    pinned = re.search(r"==?\s*([0-9][^,;\s]*)", wanted)
    return f"{wanted} (here {version})" if pinned is not None and pinned[1] != version else ""
