"""A job as JSON and back, exactly: how it is kept in run.json and sent to every rank.

The dataclasses of `schema.py` are the format. Imports neither pydantic nor yaml, so that ranks start fast.
"""

import json
import types
import typing
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from typing import Any, cast

from mpibatch.config.schema import Job
from mpibatch.errors import RunDirectoryError


def to_json(job: Job) -> str:
    """ASCII on one line; the same job always gives the same text."""
    return json.dumps(asdict(job), allow_nan=False)


def from_json(text: str) -> Job:
    """The job that `to_json` wrote."""
    try:
        return cast(Job, _decode(Job, json.loads(text)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunDirectoryError(
            f"the record of the job cannot be read ({type(error).__name__}: {error}); "
            "it is damaged, or another version of mpibatch wrote it"
        ) from None


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
