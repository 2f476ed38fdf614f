"""`load_job`: the way in. See `__init__.py` for the stages; this file only strings them together."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from mpibatch.config.document import drop_unusable, read_document
from mpibatch.config.mltable import expand_tables
from mpibatch.config.parameters import References, read_parameters
from mpibatch.config.problems import Problems
from mpibatch.config.registered import NO_WORKSPACE, Registered, find_datasets, find_models
from mpibatch.config.resolve import resolve, resolve_input, side_paths
from mpibatch.config.schema import Input, Job
from mpibatch.config.validate import check_shape
from mpibatch.errors import JobFileError


def load_job(path: str | Path, sets: Sequence[str] = (), registered: Registered = NO_WORKSPACE) -> Job:
    """The job in the YAML file at `path`, with `--set` applied. Raises JobFileError with all problems.

    registered: finds the models and datasets of the workspace that the file names
    """
    file = os.path.abspath(path)
    job = job_from_data(
        read_document(str(path)), os.path.dirname(file), name=str(path), sets=sets, registered=registered
    )
    return replace(job, file=file)


def job_from_data(
    data: dict[Any, Any],
    base_dir: str | Path,
    *,
    name: str = "the job",
    sets: Sequence[str] = (),
    not_yet: str | None = None,
    registered: Registered = NO_WORKSPACE,
) -> Job:
    """The job in `data`, which has the keys of a job file: whatever makes a job comes through here.

    base_dir:   the folder that relative paths refer to
    name:       what messages call it
    sets:       NAME=VALUE for parameters
    not_yet:    a folder that is still to be filled: side inputs in it need not exist
    registered: finds the models and datasets of the workspace that the file names
    Raises JobFileError with all problems.
    """
    if "steps" in data:
        advice = "`mpibatch run` (without mpirun or srun), `submit` and `validate` take it"
        raise JobFileError(name, [f"it has `steps:`, so it is a pipeline: {advice}"])
    problems = Problems()
    folder = os.path.abspath(base_dir)
    tree = cast(dict[str, object], drop_unusable(data, (), problems))
    parameters = read_parameters(tree.get("parameters"), sets, problems)
    if "side_inputs" in tree:
        side_inputs = References(parameters).replace(tree["side_inputs"], ("side_inputs",), problems)
        tree["side_inputs"] = find_models(side_inputs, registered, problems)
    references = References(parameters, side_paths(tree.get("side_inputs"), folder))
    for key in tree.keys() - {"parameters", "side_inputs"}:
        tree[key] = references.replace(tree[key], (key,), problems)
    inputs = find_datasets(tree.get("inputs", {}), registered, problems)
    tree["inputs"] = expand_tables(inputs, folder, not_yet, problems)
    fields = check_shape(tree, problems)
    return resolve(fields, folder, name, parameters, problems, not_yet)


def input_from_data(name: str, data: dict[str, Any], base_dir: str | Path = "/") -> Input:
    """One entry of `inputs:`, for what reads an input without a job. Raises JobFileError."""
    problems = Problems()
    folder = os.path.abspath(base_dir)
    fields = check_shape({"inputs": expand_tables({"input": data}, folder, None, problems)}, problems)
    found = resolve_input("input", fields.get("inputs", {}).get("input", {}), folder, problems)
    problems.check(f"the dataset {name!r}")
    return replace(found, name=name)
