"""ParallelRunStep, PythonScriptStep and StepSequence: steps as programs build them."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mpibatch.errors import UsageError
from mpibatch.pipelines.api.outputs import OutputFileDatasetConfig, StepOutput
from mpibatch.pipelines.api.parallel_run_config import ParallelRunConfig
from mpibatch.pipelines.api.plain_data import Parameters, WholeInputs, input_name, producers, slug


class PipelineStep:
    """What both kinds have.

    slug:    the name of its folders, where `name` cannot be one
    outputs: what it fills
    """

    def __init__(self, name: str, outputs: Sequence[StepOutput], allow_reuse: bool, compute_target: Any) -> None:
        self.name = name
        self.slug = slug(name, "step")
        self.allow_reuse = allow_reuse
        self.compute_target = compute_target
        self.outputs = list(outputs)
        self._after: list[PipelineStep] = []
        for output in self.outputs:
            output.claim(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def run_after(self, step: "PipelineStep") -> None:
        """It begins when `step` is complete, though it does not read its output."""
        self._after.append(step)

    def needs(self) -> list["PipelineStep"]:
        """The steps that must be complete before."""
        found = [*self._after, *(step for step in producers(self._uses()) if step is not self)]
        return list(dict.fromkeys(found))

    def output_folder(self, output: StepOutput) -> str:
        """Where in the step's output folder an output is: "" for all of it, which it is where it is the only one."""
        return output.name if len(self.outputs) > 1 else ""

    def to_data(self, parameters: Parameters) -> dict[str, Any]:
        """The step as a pipeline file has it."""
        data = {"name": self.slug, **self._own_data(parameters), "allow_reuse": bool(self.allow_reuse)}
        if self._after:
            data["run_after"] = [step.slug for step in self._after]
        if self.outputs:
            data["outputs"] = {output.name: output.entry() for output in self.outputs}
        return data

    def notes(self) -> list[str]:
        """What was given and is not used, in words."""
        return []

    def _uses(self) -> list[Any]:
        raise NotImplementedError

    def _own_data(self, parameters: Parameters) -> dict[str, Any]:
        raise NotImplementedError


class ParallelRunStep(PipelineStep):
    """An entry script over all files or rows of its inputs.

    inputs:      datasets, consumption configs, or outputs of earlier steps; one or a list
    side_inputs: what the script uses whole
    arguments:   text, numbers, PipelineParameters, outputs, and side inputs, which stand for their paths
    """

    def __init__(
        self,
        name: str,
        parallel_run_config: ParallelRunConfig,
        inputs: Any,
        output: Any = None,
        side_inputs: Any = None,
        arguments: Sequence[Any] | None = None,
        allow_reuse: bool = True,
        **ignored: Any,
    ) -> None:
        super().__init__(name, [output] if output is not None else [], allow_reuse, parallel_run_config.compute_target)
        self.parallel_run_config = parallel_run_config
        self.inputs = as_list(inputs)
        self.side_inputs = as_list(side_inputs)
        self.arguments = list(arguments or [])
        self._ignored = sorted(ignored)
        if not self.inputs:
            raise UsageError(f"step {name!r} has no inputs: a ParallelRunStep is run over one dataset at least")

    def notes(self) -> list[str]:
        environment: list[str] = getattr(self.parallel_run_config.environment, "notes", list)()
        vm_size = getattr(self.compute_target, "vm_size", None)
        return [*environment, *([f"vm_size {vm_size}"] if vm_size else []), *self._ignored]

    def _uses(self) -> list[Any]:
        return [*self.inputs, *self.side_inputs, *self.arguments]

    def _own_data(self, parameters: Parameters) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for position, value in enumerate(self.inputs):
            inputs[input_name(value, position, inputs)] = parameters.input(value)
        whole = WholeInputs(parameters, may_open=False)
        for value in self.side_inputs:
            whole.add(value)
        arguments = [whole.argument(value, known=self.inputs) for value in self.arguments]
        source, script = self.parallel_run_config.locate()
        settings = parameters.plain(self.parallel_run_config.settings())
        data: dict[str, Any] = {"inputs": inputs}
        if whole.sides:
            data["side_inputs"] = whole.sides
        if arguments:
            data["arguments"] = arguments
        data["parallel_run_config"] = {"source_directory": source, "entry_script": script, **settings}
        return data


class PythonScriptStep(PipelineStep):
    """One process of a script.

    inputs:    datasets or outputs of earlier steps that the script reads: among its `arguments` they are paths, and
               `Run.get_context().input_datasets` has them by name
    outputs:   what it fills. An OutputFileDatasetConfig that no other step fills may also be among the arguments alone
    runconfig: its `environment.environment_variables` are set
    """

    def __init__(
        self,
        script_name: str,
        name: str | None = None,
        arguments: Sequence[Any] | None = None,
        compute_target: Any = None,
        runconfig: Any = None,
        runconfig_pipeline_params: Any = None,
        inputs: Any = None,
        outputs: Any = None,
        params: dict[str, Any] | None = None,
        source_directory: str | os.PathLike[str] | None = None,
        allow_reuse: bool = True,
        version: str | None = None,
        hash_paths: Any = None,
    ) -> None:
        self.arguments = list(arguments or [])
        given = as_list(outputs)
        given += [
            value
            for value in self.arguments
            if isinstance(value, OutputFileDatasetConfig) and value.producer is None and value not in given
        ]
        super().__init__(name or script_name, given, allow_reuse, compute_target)
        self.script_name = script_name
        self.source_directory = source_directory
        self.runconfig = runconfig
        self.inputs = as_list(inputs)
        self.params = dict(params or {})

    def _uses(self) -> list[Any]:
        return [*self.inputs, *self.arguments]

    def notes(self) -> list[str]:
        found: list[str] = getattr(getattr(self.runconfig, "environment", None), "notes", list)()
        return found

    def _own_data(self, parameters: Parameters) -> dict[str, Any]:
        """`params` become AML_PARAMETER_<name>, as in Azure."""
        data: dict[str, Any] = {
            "script": str(self.script_name),
            "source_directory": os.path.abspath(os.fspath(self.source_directory or ".")),
        }
        variables: dict[str, Any] = dict(getattr(getattr(self.runconfig, "environment", None), "variables", dict)())
        variables |= {f"AML_PARAMETER_{name}": parameters.plain(value) for name, value in self.params.items()}
        whole = WholeInputs(parameters, may_open=True)
        for value in self.inputs:
            whole.add(value)
        arguments = [whole.argument(value) for value in self.arguments]
        given = {"inputs": whole.inputs, "side_inputs": whole.sides, "arguments": arguments}
        data.update({key: value for key, value in given.items() if value})
        if variables:
            data["environment_variables"] = variables
        return data

    def to_data(self, parameters: Parameters) -> dict[str, Any]:
        """What it only reads by itself, without an argument, comes before it too."""
        data = super().to_data(parameters)
        after = [step.slug for step in self.needs()]
        return {**data, "run_after": after} if after else data


class StepSequence:
    """Steps one after another."""

    def __init__(self, steps: Sequence[Any] | None = None) -> None:
        self.steps = list(steps or [])
        for before, after in zip(self.steps, self.steps[1:], strict=False):
            for step in flatten(after):
                for earlier in flatten(before):
                    step.run_after(earlier)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.steps)


def flatten(steps: Any) -> list[PipelineStep]:
    """One step, or lists of them, however deep."""
    if isinstance(steps, PipelineStep):
        return [steps]
    if isinstance(steps, list | tuple | StepSequence):
        return [step for entry in steps for step in flatten(entry)]
    raise UsageError(f"{steps!r} is no step; a Pipeline takes ParallelRunStep, PythonScriptStep, and lists of them")


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
