"""From what programs give (datasets, outputs, parameters, configs) to the values of a pipeline file.

PipelineParameter  -->  "${{ parameters.NAME }}", and its default among the parameters; where a path is wanted,
                        "${{ parameters.NAME.path }}"
an output          -->  "${{ steps.STEP.output }}"
a dataset          -->  {type: files, path: ...}; within arguments and side inputs its path
"""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from mpibatch.config.values import JOB_NAME, NAME, Scalar
from mpibatch.errors import UsageError
from mpibatch.pipelines.api.outputs import StepOutput
from mpibatch.pipelines.api.parameter import PipelineParameter, parameter_data
from mpibatch.sdk.model import Model
from mpibatch.sdk.notices import notify


class Parameters:
    """The parameters that the steps of a pipeline name."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def reference(self, parameter: PipelineParameter) -> str:
        """Raises UsageError where another parameter has the name."""
        value = parameter_data(parameter.default_value)
        if self.values.setdefault(parameter.name, value) != value:
            raise UsageError(
                f"two PipelineParameters are called {parameter.name!r}, with different defaults; use one for both"
            )
        return f"${{{{ parameters.{parameter.name} }}}}"

    def plain(self, value: Any) -> Any:
        """A setting or an argument."""
        match value:
            case PipelineParameter():
                return (
                    self.path(value) if isinstance(parameter_data(value.default_value), dict) else self.reference(value)
                )
            case StepOutput():
                return value.reference()
            case dict():
                return {name: self.plain(entry) for name, entry in value.items()}
            case list() | tuple():
                return [self.plain(entry) for entry in value]
            case os.PathLike():
                return os.fspath(value)
            case _:
                return value if isinstance(value, Scalar | None) else self.path(value)

    def input(self, value: Any) -> Any:
        """An entry of `inputs:`. Raises UsageError for what is no data."""
        source = getattr(value, "dataset", value)
        if isinstance(source, PipelineParameter):
            return self.reference(source)
        data = parameter_data(source)
        if not isinstance(data, dict):
            raise UsageError(f"{value!r} is no input: it must be a dataset, or the output of a step")
        return data

    def side_input(self, value: Any) -> dict[str, Any]:
        """An entry of `side_inputs:`. One file is its path, several their folder; a model is named with its version."""
        source = getattr(value, "dataset", value)
        if isinstance(source, Model):
            return {"model": source.id}
        stage = {"stage": "node"} if getattr(value, "mode", None) == "download" else {}
        return {"path": self.path(value), **stage}

    def path(self, value: Any) -> str:
        """The path for which a dataset, an output or a place in a datastore stands."""
        source = getattr(value, "dataset", value)
        if isinstance(source, PipelineParameter):
            if _output_of(source.default_value) is None and isinstance(parameter_data(source.default_value), dict):
                self.reference(source)
                return f"${{{{ parameters.{source.name}.path }}}}"
            source = source.default_value
        if (output := _output_of(source)) is not None:
            return output.reference()
        data = parameter_data(source)
        if not isinstance(data, dict):
            raise UsageError(f"{value!r} cannot be used here: it must be text, a number, a dataset or an output")
        paths = data["path"]
        if isinstance(paths, str) and not re.search(r"[*?\[{]", paths):
            return paths
        from mpibatch.config.load import input_from_data
        from mpibatch.datasets.paths import root_of

        return paths[0] if isinstance(paths, list) and len(paths) == 1 else root_of(input_from_data("dataset", data))


class WholeInputs:
    """What a step reads whole, by name: paths for its arguments, and datasets that its script opens itself.

    sides:  entries of `side_inputs:`
    inputs: entries of `inputs:` of a script step
    """

    def __init__(self, parameters: Parameters, may_open: bool) -> None:
        """may_open: it is a script step."""
        self.sides: dict[str, Any] = {}
        self.inputs: dict[str, Any] = {}
        self._parameters = parameters
        self._may_open = may_open
        self._added: list[tuple[Any, str]] = []

    def add(self, value: Any) -> None:
        name = input_name(value, len(self._added), [*self.sides, *self.inputs])
        if self._may_open and _is_opened(value):
            self.inputs[name] = self._parameters.input(value)
        else:
            side = self._parameters.side_input(value)
            if self._may_open:  # a script is one process: there is nothing to copy to each node
                side.pop("stage", None)
            self.sides[name] = side
        self._added.append((value, name))

    def argument(self, value: Any, known: Sequence[Any] = ()) -> Any:
        """An argument of the step; a dataset that is not `known` to the step otherwise is added."""
        if _is_dataset(value) and not any(value is other for other in [*known, *(added for added, _ in self._added)]):
            self.add(value)
        for added, name in self._added:
            if added is value and name in self.sides:
                return f"${{{{ side_inputs.{name} }}}}"
        return self._parameters.plain(value)


def _is_dataset(value: Any) -> bool:
    """Whether it is data or a model, and not the output of a step."""
    source = getattr(value, "dataset", value)
    if isinstance(source, Model):
        return True
    source = source.default_value if isinstance(source, PipelineParameter) else source
    return _output_of(source) is None and isinstance(parameter_data(source), dict)


def _is_opened(value: Any) -> bool:
    """Whether a script gets a dataset and no path: a table, a file dataset that is not mounted, or what is at a URL."""
    source = getattr(value, "dataset", value)
    if not _is_dataset(value) or isinstance(source, Model):
        return False
    data = parameter_data(source.default_value if isinstance(source, PipelineParameter) else source)
    return getattr(value, "mode", None) == "direct" or data["type"] != "files" or "://" in str(data["path"])


def _output_of(value: Any) -> StepOutput | None:
    """The output that a value is, or is a view of."""
    source = getattr(value, "dataset", value)
    output = source if isinstance(source, StepOutput) else getattr(source, "output", None)
    return output if isinstance(output, StepOutput) else None


def input_name(value: Any, position: int, taken: Iterable[str]) -> str:
    """Under which name a step has an input: its own where it has a fitting one."""
    source = getattr(value, "dataset", value)
    name = getattr(value, "name", None) or getattr(source, "name", None) or f"input_{position}"
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(name))[:60]
    name = name if NAME.matches(name) else f"input_{name}"[:60]
    while name in taken:
        name += "_"
    return name


def slug(name: str, what: str) -> str:
    """A name as a step or a pipeline may have it: for folders. A line says so where it is another one."""
    if JOB_NAME.matches(name):
        return name
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    made = made if made[:1].isalpha() else f"{what}-{made}"
    made = made[:32].rstrip("-")
    made = made if len(made) >= 3 else f"{what}-{made}".rstrip("-")
    notify(f"{what} {name!r} has the folder {made!r}: a name is {JOB_NAME.words}")
    return made


def producers(value: Any) -> list[Any]:
    """The steps whose outputs a value names, however deep."""
    if isinstance(value, list | tuple):
        return [step for entry in value for step in producers(entry)]
    if isinstance(value, dict):
        return producers(list(value.values()))
    source = getattr(value, "dataset", value)
    output = _output_of(source.default_value if isinstance(source, PipelineParameter) else source)
    return [output.producer] if output is not None and output.producer is not None else []
