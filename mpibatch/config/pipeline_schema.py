"""The pipeline file as frozen dataclasses, declared as `schema.py` declares the job file.

    Pipeline
     |- parameters   names and values; a value may be a whole input: {type: files, path: ...}
     `- steps        each a Step: its plain data, as the file has it, and what it needs
                       |- a parallel step: the keys of a job file             --> Job
                       `- a script step (`script:`), one process              --> ScriptStep

A step stays plain data until it begins, since only then it is known where the outputs of others lie
(`pipeline.begin_step` gives its Job or ScriptStep).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from mpibatch.config.markers import Doc, Internal, Key, ShortFor
from mpibatch.config.schema import Input, SideInput
from mpibatch.config.values import JOB_NAME, Argument, PathText, Scalar, Seconds, Text, Variable


class Reuse(StrEnum):
    """By what it is told whether a file is still the same."""

    METADATA = "metadata"  # size and time of modification
    STRICT = "strict"  # content


class StepKind(StrEnum):
    PARALLEL = "parallel"
    SCRIPT = "script"


ParameterValue = Scalar | dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptStep:
    """A step that is one process: `${{ steps.NAME.output }}` of its own name is its output folder."""

    name: Annotated[str, JOB_NAME, Key("name", required=True), Doc("The step's name.")]
    script: Annotated[PathText, Doc("The Python script, relative to `source_directory`.")]
    source_directory: Annotated[PathText, Doc("The folder of the script, and where it runs.")] = "."
    arguments: Annotated[tuple[Argument, ...], Doc("`sys.argv` of the script.")] = ()
    environment_variables: Annotated[dict[str, Variable], Doc("Set for the script.")] = field(default_factory=dict)
    inputs: Annotated[
        tuple[Input, ...], Doc("Datasets that the script reads itself: `Run.get_context().input_datasets` has them.")
    ] = ()
    side_inputs: Annotated[
        tuple[SideInput, ...],
        ShortFor("path"),
        Doc("What the script uses, such as a model: `${{ side_inputs.NAME }}` is its path."),
    ] = ()
    timeout: Annotated[Seconds | None, Doc("After so long it is ended, and has failed.")] = None
    allow_reuse: Annotated[bool, Doc("Whether an earlier output of the same step may stand for a new one.")] = True


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a step's output, or a folder in it, is called, and what becomes of it when the step is complete."""

    name: Annotated[str, Internal()]
    folder: Annotated[
        Text | None,
        Doc("A folder in the step's output, made before a script step begins; without it all of the output."),
    ] = None
    destination: Annotated[
        Text | None,
        Doc("Where its files are put too: a path or URL, in which `{run-id}` and `{output-name}` are replaced."),
    ] = None
    dataset: Annotated[
        Text | None, Doc("The name of the dataset in the workspace of which it is the next version.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """What a step of either kind may have besides."""

    run_after: Annotated[tuple[Text, ...], Doc("Steps that must be complete before, without their output.")] = ()
    outputs: Annotated[tuple[StepOutput, ...], Doc("Names for its output or folders in it.")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """What the file says of the whole pipeline, but for its steps and parameters."""

    name: Annotated[str, JOB_NAME, Key("name", required=True), Doc("The pipeline's name.")]
    output: Annotated[PathText, Doc("The folder in which each run makes its own.")] = "runs"
    allow_reuse: Annotated[bool, Doc("Whether earlier outputs of the same steps may stand for new ones.")] = True
    reuse: Annotated[Reuse, Doc("What tells that a file is the same: `metadata` (size and time) or `strict`.")] = (
        Reuse.METADATA
    )
    continue_on_step_failure: Annotated[
        bool, Doc("Steps that do not depend on one that has failed are run nevertheless.")
    ] = True


@dataclass(frozen=True, slots=True)
class Step:
    """One step, parameters replaced.

    data:  the keys of a job or of a ScriptStep, as plain data; references to outputs are left in it
    needs: names of the steps that must be complete before it begins, in the order of the file
    """

    name: Annotated[str, Internal()]
    kind: Annotated[StepKind, Internal()]
    data: Annotated[dict[str, Any], Internal()]
    options: Annotated[StepOptions, Internal()]
    needs: Annotated[tuple[str, ...], Internal()]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """All of a pipeline file, checked; `steps` in the order in which they run.

    folder: absolute; what relative paths in the steps refer to
    file:   absolute path of the file; "" for a pipeline that a program has made
    """

    settings: PipelineSettings
    parameters: dict[str, ParameterValue]
    steps: tuple[Step, ...]
    folder: str
    file: str = ""

    def step(self, name: str) -> Step:
        """Raises KeyError."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)
