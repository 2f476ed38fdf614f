"""From a pipeline file to a checked `Pipeline`, and from one of its steps to what is run.

    pipeline.yaml --load_pipeline--> parameters put in, references between steps --> Pipeline, steps in order
    Pipeline --to_data--> plain data that `pipeline_from_data` takes again, the same pipeline
    Step + the output folders of others --begin_step--> Job | ScriptStep

Each step is checked with paths that stand for the outputs of others, so that all problems of a file are found before
the first step begins.
"""

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from mpibatch.config import pipeline_parameters
from mpibatch.config.document import drop_unusable, read_document
from mpibatch.config.load import job_from_data
from mpibatch.config.parameters import References
from mpibatch.config.pipeline_schema import (
    ParameterValue,
    Pipeline,
    PipelineSettings,
    ScriptStep,
    Step,
    StepKind,
    StepOptions,
    StepOutput,
)
from mpibatch.config.problems import Problems, format_value
from mpibatch.config.registered import NO_WORKSPACE, Registered
from mpibatch.config.resolve import absolute
from mpibatch.config.schema import Job
from mpibatch.config.script_step import script_step_from_data
from mpibatch.config.settings import settings_of
from mpibatch.config.step_order import sort_steps
from mpibatch.config.validate import Fields, check_shape
from mpibatch.config.values import JOB_NAME, NAME, REFERENCE
from mpibatch.errors import JobFileError

NOT_YET = "/outputs-of-earlier-steps"
"""Stands for the run directory while a pipeline is checked: nothing in it needs to exist."""
RESERVED = (
    "--client_sdk_version",
    "--scoring_module_name",
    "--mini_batch_size",
    "--error_threshold",
    "--output_action",
    "--logging_level",
    "--run_invocation_timeout",
    "--run_max_try",
    "--create_snapshot_at_runtime",
)
"""Arguments that a step's script cannot have, as in ParallelRunStep."""
_OWN_KEYS = ("parameters", "steps")


def load_pipeline(path: str | Path, sets: Sequence[str] = (), registered: Registered = NO_WORKSPACE) -> Pipeline:
    """The pipeline in the YAML file at `path`, with `--set` applied. Raises JobFileError with all problems."""
    file = os.path.abspath(path)
    data = read_document(str(path))
    return replace(
        pipeline_from_data(data, os.path.dirname(file), name=str(path), sets=sets, registered=registered), file=file
    )


def pipeline_from_data(
    data: dict[Any, Any],
    folder: str | Path,
    *,
    name: str = "the pipeline",
    sets: Sequence[str] = (),
    values: Mapping[str, ParameterValue] | None = None,
    registered: Registered = NO_WORKSPACE,
) -> Pipeline:
    """The pipeline in `data`, which has the keys of a pipeline file.

    folder: what relative paths refer to
    name:   what messages call it
    sets:   NAME=VALUE for parameters
    values: of parameters, by name
    registered: finds the models and datasets of the workspace that the file names
    Raises JobFileError with all problems.
    """
    problems = Problems()
    folder = os.path.abspath(folder)
    tree = cast(dict[str, Any], drop_unusable(data, (), problems))
    parameters = pipeline_parameters.read(tree.get("parameters"), sets, values or {}, problems)
    named = pipeline_parameters.with_paths(parameters, folder)
    references = References(named, later=("side_inputs", "steps"))
    head = {key: references.replace(tree[key], (key,), problems) for key in tree if key not in _OWN_KEYS}
    fields = check_shape(head, problems, PipelineSettings)
    if "name" not in fields and not problems.covers(("name",)):
        problems.add(("name",), "is missing; a pipeline has a name")
    problems.check(name)
    settings = PipelineSettings(**{**fields, "output": absolute(folder, fields.get("output", "runs"))})
    listed = references.replace(_listed(tree.get("steps"), problems), ("steps",), problems)
    steps = [_step(index, entry, problems) for index, entry in enumerate(cast(list[dict[str, Any]], listed))]
    problems.check(name)
    _check_names(steps, problems)
    ordered = sort_steps(steps, problems)
    problems.check(name)
    pipeline = Pipeline(settings, parameters, ordered, folder)
    outputs = {step.name: f"{NOT_YET}/{step.name}" for step in ordered}
    for step in ordered:
        try:
            begin_step(pipeline, step, outputs, registered)
        except JobFileError as error:
            for problem in error.problems:
                problems.add_general(f"step {step.name}: {problem}")
    problems.check(name)
    return pipeline


def to_data(pipeline: Pipeline) -> dict[str, Any]:
    """The pipeline as plain data, as a file has it; parameters are put in."""
    settings = asdict(pipeline.settings)
    settings["reuse"] = pipeline.settings.reuse.value
    return {
        **settings,
        "parameters": dict(pipeline.parameters),
        "steps": [{"name": step.name, **step.data, **_given_options(step.options)} for step in pipeline.steps],
    }


def begin_step(
    pipeline: Pipeline, step: Step, outputs: Mapping[str, str], registered: Registered = NO_WORKSPACE
) -> Job | ScriptStep:
    """What `step` is, ready to run. outputs: the absolute output folder of each step that it may refer to.

    Raises JobFileError.
    """
    data = {"name": step.name, **_put_in(step.data, outputs, ())}
    what = f"step {step.name}"
    if step.kind is StepKind.SCRIPT:
        return script_step_from_data(data, pipeline.folder, name=what, not_yet=NOT_YET, registered=registered)
    job = job_from_data(data, pipeline.folder, name=what, not_yet=NOT_YET, registered=registered)
    return replace(job, file=pipeline.file)


def _listed(section: object, problems: Problems) -> list[Any]:
    """`steps`, each a mapping with a `name`."""
    if not isinstance(section, list) or not section:
        problems.add_invalid(("steps",), section, "a list of steps, at least one")
        return []
    for index, entry in enumerate(section):
        if not isinstance(entry, dict):
            problems.add_invalid(("steps", index), entry, "a step: a mapping that begins with `name: ...`")
        elif "name" not in entry:
            problems.add(("steps", index), "has no name; a step is called by it")
    return [entry for entry in section if isinstance(entry, dict) and "name" in entry]


def _step(index: int, entry: dict[str, Any], problems: Problems) -> Step:
    """A step as the file has it; what it needs is found by `sort_steps`."""
    name = entry["name"]
    if not isinstance(name, str) or not JOB_NAME.matches(name):
        problems.add_invalid(("steps", index, "name"), name, JOB_NAME.words)
        name = f"step-{index}"
    option_keys = {setting.key for setting in settings_of(StepOptions)}
    options = {key: value for key, value in entry.items() if key in option_keys}
    below = Problems()
    given = _options(check_shape(options, below, StepOptions), below)
    for message in below.messages:
        problems.add_general(f"step {name}: {message}")
    data = {key: value for key, value in entry.items() if key not in option_keys and key != "name"}
    for key in ("parameters", "output"):
        if key in data:
            problems.add(("steps", index, key), "belongs to the pipeline, beside `steps`")
    kind = StepKind.SCRIPT if "script" in data else StepKind.PARALLEL
    if kind is StepKind.PARALLEL:
        _check_reserved(name, data.get("arguments"), problems)
    if "script" in data and "parallel_run_config" in data:
        problems.add(("steps", index), "has both script and parallel_run_config; a step is one of the two")
    return Step(name, kind, data, given, ())


def _check_reserved(name: str, arguments: object, problems: Problems) -> None:
    for argument in arguments if isinstance(arguments, list) else []:
        option = str(argument).partition("=")[0]
        if option in RESERVED:
            problems.add_general(
                f"step {name}: arguments has {option}, which ParallelRunStep reserves for itself; call it otherwise, "
                f"such as {option.replace('--', '--my_')}"
            )


def _check_names(steps: Sequence[Step], problems: Problems) -> None:
    """No name twice."""
    seen: set[str] = set()
    for step in steps:
        if step.name in seen:
            problems.add_general(f"two steps are called {format_value(step.name)}; each has a name of its own")
        seen.add(step.name)


def _options(fields: Fields, problems: Problems) -> StepOptions:
    outputs: dict[str, Any] = fields.get("outputs", {})
    for name, entry in outputs.items():
        folder = entry.get("folder") or ""
        if not NAME.matches(name):
            problems.add(("outputs", name), f"is not a valid name: names are {NAME.words}")
        if os.path.isabs(folder) or ".." in folder.split("/"):
            problems.add_invalid(("outputs", name, "folder"), folder, "a folder inside the output, without ..")
    named = tuple(StepOutput(name, **entry) for name, entry in outputs.items())
    return StepOptions(**{**fields, "outputs": named})


def _given_options(options: StepOptions) -> dict[str, Any]:
    data: dict[str, Any] = {"run_after": list(options.run_after)} if options.run_after else {}
    if options.outputs:
        kept = [{key: value for key, value in asdict(output).items() if value} for output in options.outputs]
        data["outputs"] = {output.pop("name"): output for output in kept}
    return data


def _put_in(tree: Any, outputs: Mapping[str, str], key: tuple[str, ...]) -> Any:
    """`tree` with the references to outputs replaced; `key` says where it is in the step."""
    if isinstance(tree, dict):
        return {name: _put_in(value, outputs, (*key, name)) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_put_in(value, outputs, key) for value in tree]
    if not isinstance(tree, str):
        return tree
    plain = not (key[:1] == ("inputs",) and glob.has_magic(REFERENCE.sub("", tree)))

    def path(match: Any) -> str:
        kind, _, rest = match[1].partition(".")
        if kind != "steps":
            return str(match[0])
        folder = outputs[rest.removesuffix(".output")]
        return folder if plain else glob.escape(folder)

    return REFERENCE.sub(path, tree)
