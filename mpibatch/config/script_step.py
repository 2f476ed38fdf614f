"""A script step: from plain data to a `ScriptStep` with absolute paths, checked as a job is."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpibatch.config.choices import Stage
from mpibatch.config.mltable import expand_tables
from mpibatch.config.parameters import References
from mpibatch.config.pipeline_schema import ScriptStep
from mpibatch.config.problems import Problems, format_value
from mpibatch.config.registered import NO_WORKSPACE, Registered, find_datasets, find_models
from mpibatch.config.resolve import absolute, resolve_input, resolve_side_input, side_paths
from mpibatch.config.script import compile_script
from mpibatch.config.validate import check_shape
from mpibatch.errors import ScriptError


def script_step_from_data(
    data: Mapping[str, Any],
    folder: str | Path,
    *,
    name: str = "the step",
    not_yet: str | None = None,
    registered: Registered = NO_WORKSPACE,
) -> ScriptStep:
    """The script step in `data`.

    not_yet: a folder of which nothing has to exist
    registered: finds the models and datasets of the workspace that the step names
    Raises JobFileError with all problems.
    """
    problems = Problems()
    folder = os.path.abspath(folder)
    tree: dict[str, Any] = dict(data)
    if "side_inputs" in tree:
        tree["side_inputs"] = find_models(tree["side_inputs"], registered, problems)
    references = References({}, side_paths(tree.get("side_inputs"), folder))
    for key in tree.keys() - {"side_inputs"}:
        tree[key] = references.replace(tree[key], (key,), problems)
    datasets = find_datasets(tree.get("inputs", {}), registered, problems)
    tree["inputs"] = expand_tables(datasets, folder, not_yet, problems)
    fields = check_shape(tree, problems, ScriptStep)
    inputs = tuple(resolve_input(name, entry, folder, problems) for name, entry in fields.get("inputs", {}).items())
    side_inputs = tuple(
        resolve_side_input(side, entry, folder, problems, not_yet)
        for side, entry in fields.get("side_inputs", {}).items()
    )
    for side in side_inputs:
        if side.stage is Stage.NODE:
            problems.add(("side_inputs", side.name, "stage"), "is for parallel steps: a script is one process")
    source_directory = absolute(folder, fields.get("source_directory", "."))
    script = fields.get("script", "")
    if not problems.covers(("source_directory",)) and script:
        _check_script(source_directory, script, problems)
    for variable in fields.get("environment_variables", {}):
        if not variable or "=" in variable:
            problems.add(("environment_variables", variable), "is no name of an environment variable")
    problems.check(name)
    step = ScriptStep(**{**fields, "inputs": inputs, "side_inputs": side_inputs})
    return replace(step, source_directory=source_directory)


def _check_script(source_directory: str, script: str, problems: Problems) -> None:
    path = os.path.join(source_directory, script)
    if not os.path.isdir(source_directory):
        problems.add(("source_directory",), f"is {format_value(source_directory)}, which is no folder")
    elif not os.path.isfile(path):
        problems.add(("script",), f"is {format_value(script)}, but there is no file {format_value(path)}")
    else:
        try:
            compile_script(path)
        except ScriptError as error:
            problems.add(("script",), f"cannot be used: {error}")
