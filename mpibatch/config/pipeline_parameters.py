"""The parameters of a pipeline: as those of a job, but a value may be a whole input, and may be missing until a run.

{batch_size: 10, images: {type: files, path: data/*.png}, day: null}
--set images=other/*.png    another path of the same input
--set day=2024-05-01        needed: a parameter without a value is a problem
${{ parameters.images.path }}  the file or folder that such an input is: for arguments and side inputs
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mpibatch.config.globs import common_root, split_glob
from mpibatch.config.parameters import read_like, read_parameters
from mpibatch.config.pipeline_schema import ParameterValue
from mpibatch.config.problems import Problems, escape, format_value, suggest
from mpibatch.config.resolve import absolute
from mpibatch.config.values import Scalar

_OPEN = "${{"


def read(
    section: object, sets: Sequence[str], values: Mapping[str, ParameterValue], problems: Problems
) -> dict[str, ParameterValue]:
    """The parameters that the file has, with `--set` and the values that a program gave."""
    if not isinstance(section, dict | None):
        problems.add_invalid(("parameters",), section, "a mapping of names to values")
        return {}
    defaults: dict[str, Any] = dict(section or {})
    for name, value in values.items():
        _give(defaults, name, value, problems)
    given = {text.partition("=")[0].strip(): text for text in sets}
    for name, default in [(name, defaults[name]) for name in given if name in defaults]:
        value = given[name].partition("=")[2]
        if isinstance(default, dict) and "=" in given[name]:
            defaults[name] = {**default, "path": value}
            del given[name]
        elif default is None and "=" in given[name]:
            defaults[name] = value
            del given[name]
    missing = [name for name, value in defaults.items() if value is None]
    for name in missing:
        problems.add(
            ("parameters", name),
            f"has no value; give it one: --set {escape(str(name))}=VALUE, or submit(..., pipeline_parameters=...)",
        )
    inputs = {name: value for name, value in defaults.items() if isinstance(value, dict)}
    for name, value in inputs.items():
        if _OPEN in str(value):
            problems.add(("parameters", name), "holds a reference; parameters are plain values")
    scalars = {name: value for name, value in defaults.items() if value is not None and name not in inputs}
    left = [text for name, text in given.items() if name not in missing]
    read = read_parameters(scalars, left, problems)
    return {name: {**inputs, **read}[name] for name in defaults if name in inputs or name in read}


def with_paths(parameters: Mapping[str, ParameterValue], folder: str) -> dict[str, ParameterValue]:
    """The parameters, and `NAME.path` for each that is an input; a relative path is relative to `folder`."""
    inputs = {name: value for name, value in parameters.items() if isinstance(value, dict) and "path" in value}
    return {**parameters, **{f"{name}.path": _path_of(value["path"], folder) for name, value in inputs.items()}}


def _path_of(path: Any, folder: str) -> str:
    """One file or folder is itself; a glob or a list is the folder that its files have in common."""
    named = [path.get("manifest")] if isinstance(path, dict) else path if isinstance(path, list) else [path]
    if any("://" in str(entry) for entry in named):
        return split_glob(str(named[0]))[0]
    paths = [absolute(folder, str(entry)) for entry in named]
    return paths[0] if len(paths) == 1 and os.path.lexists(paths[0]) else common_root(paths)


def _give(defaults: dict[str, Any], name: str, value: ParameterValue, problems: Problems) -> None:
    """A value of a program; of the type of the default, or text that says one."""
    if name not in defaults:
        problems.add_general(f"there is no parameter {format_value(name)}; {suggest(name, defaults)}")
        return
    default = defaults[name]
    fits = default is None or type(value) is type(default) or (isinstance(default, str) and not isinstance(value, dict))
    if not fits and type(default) is float and type(value) is int:
        fits = True
    if not fits and isinstance(value, str) and isinstance(default, Scalar):
        try:
            defaults[name] = read_like(default, value)
        except ValueError as error:
            given = f"parameter {format_value(name)} is given {format_value(value)}"
            problems.add_general(f"{given}, and must give {error}")
    elif fits:
        defaults[name] = value
    else:
        kind = "an input" if isinstance(default, dict) else type(default).__name__
        problems.add_general(
            f"parameter {format_value(name)} is given {format_value(value)}, but it is {kind}, as its default says"
        )
