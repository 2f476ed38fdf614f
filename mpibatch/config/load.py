"""`load_job`: the way in. See `__init__.py` for the stages; this file only strings them together."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from mpibatch.config.document import drop_unusable, read_document
from mpibatch.config.parameters import References, read_parameters
from mpibatch.config.problems import Problems
from mpibatch.config.resolve import resolve, side_paths
from mpibatch.config.schema import Job
from mpibatch.config.serialize import from_json, to_json
from mpibatch.config.validate import check_shape
from mpibatch.errors import JobFileError

__all__ = ["from_json", "job_from_data", "load_job", "to_json"]


def load_job(path: str | Path, sets: Sequence[str] = ()) -> Job:
    """The job in the YAML file at `path`, with `--set` applied. Raises JobFileError with all problems."""
    return job_from_data(read_document(str(path)), str(path), sets)


def job_from_data(data: dict[Any, Any], path: str, sets: Sequence[str] = ()) -> Job:
    """The job in `data`; `path` is the job file's, which relative paths are relative to."""
    if "steps" in data:
        raise JobFileError(path, ["it has `steps:`: pipelines are not built yet; give each step its own file"])
    problems = Problems()
    file = os.path.abspath(path)
    tree = cast(dict[str, object], drop_unusable(data, (), problems))
    parameters = read_parameters(tree.get("parameters"), sets, problems)
    if "side_inputs" in tree:
        tree["side_inputs"] = References(parameters).replace(tree["side_inputs"], ("side_inputs",), problems)
    references = References(parameters, side_paths(tree.get("side_inputs"), os.path.dirname(file)))
    for name in tree.keys() - {"parameters", "side_inputs"}:
        tree[name] = references.replace(tree[name], (name,), problems)
    fields = check_shape(tree, problems)
    return resolve(fields, file, path, parameters, problems)
