"""A job, and other dataclasses of a run, as JSON and back, exactly: how it is kept and sent to every rank.

The dataclasses are the format: `asdict` writes them, their annotations read them. Imports neither pydantic nor yaml,
so that ranks start fast.
"""

import json
import types
import typing
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, cast

from mpibatch.config.schema import Input, Job
from mpibatch.config.settings import settings_of
from mpibatch.errors import RunDirectoryError

D = TypeVar("D")


def to_json(job: Job) -> str:
    """ASCII on one line; the same job always gives the same text."""
    return json.dumps(asdict(job), allow_nan=False)


def from_json(text: str) -> Job:
    """The job that `to_json` wrote. Raises RunDirectoryError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable("the record of the job", error) from None
    return decode(Job, value, "the record of the job")


def decode(kind: type[D], value: object, what: str) -> D:
    """The dataclass `kind`, as `asdict` and JSON have written it. `what` it is: for the RunDirectoryError it raises."""
    try:
        return cast(D, _decode(kind, value))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _unreadable(what, error) from None


def input_to_data(spec: Input) -> dict[str, Any]:
    """The entry of `inputs:` that says the same; what is as if it were left out is left out, as is a dataset's name."""
    data: dict[str, Any] = {"type": spec.type.value}
    data["path"] = list(spec.paths) if spec.manifest is None else {"manifest": spec.manifest}
    for setting in settings_of(Input):
        value = getattr(spec, setting.name)
        if setting.key not in (*data, "dataset") and value != setting.default:
            data[setting.key] = list(value) if isinstance(value, tuple) else value
    return data


def _unreadable(what: str, error: Exception) -> RunDirectoryError:
    return RunDirectoryError(
        f"{what} cannot be read ({type(error).__name__}: {error}); "
        "it is damaged, or another version of mpibatch wrote it"
    )


def _decode(kind: Any, value: Any) -> Any:
    """`value`, as JSON has it, as the annotated type `kind`."""
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        unknown = value.keys() - hints.keys()
        if unknown:
            raise ValueError(f"{kind} has no {', '.join(sorted(unknown))}")
        present = [entry.name for entry in fields(kind) if entry.name in value]
        return cast(Any, kind)(**{name: _decode(hints[name], value[name]) for name in present})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(_decode(arguments[0], element) for element in value)
    if origin is dict:
        return {name: _decode(arguments[1], element) for name, element in value.items()}
    if origin in {types.UnionType, typing.Union}:
        return None if value is None else _decode(arguments[0], value)
    return value
