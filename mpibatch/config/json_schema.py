"""The JSON Schema (draft 2020-12) of job and pipeline files, from the declarations of `schema.py` and
`pipeline_schema.py`: for editors.

It takes every file that `validate.py` takes; what hangs on several keys or on files only mpibatch itself can say.
Wherever a value may stand, so may text with a reference, `${{ parameters.X }}`. A file with `steps` is a pipeline.
"""

import builtins
import json
import typing
from dataclasses import is_dataclass
from enum import StrEnum
from typing import Any, cast

from mpibatch.config.markers import Auto, Interval, MinLen, Pattern, ShortFor, Written
from mpibatch.config.pipeline_schema import PipelineSettings, ScriptStep, StepOptions
from mpibatch.config.schema import Input, Job
from mpibatch.config.settings import Setting, alternatives, element, mark, optional, settings_of, unfold, wording
from mpibatch.config.values import LARGEST, NAME

Schema = dict[str, Any]

FILE_NAME = "job.schema.json"
"""Beside a job file, which names it in its first line: found without a network, and by whoever has the folder."""

_REFERENCE: Schema = {"$ref": "#/$defs/reference"}
_NAME: Schema = {"pattern": NAME.regex}


def job_schema() -> Schema:
    """The schema of a whole file, as plain data."""
    reference = {"type": "string", "pattern": r"\$\{\{.*\}\}", "description": "A reference: ${{ parameters.NAME }}."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job or a pipeline of mpibatch",
        "if": {"required": ["steps"]},
        "then": {"$ref": "#/$defs/pipeline"},
        "else": {"$ref": "#/$defs/job"},
        "$defs": {
            "reference": reference,
            "job": _section(Job),
            "pipeline": _pipeline(),
            "script_step": _joined(_section(ScriptStep), _section(StepOptions)),
            "parallel_step": _parallel_step(),
        },
    }


def render() -> str:
    """The same as a file."""
    return json.dumps(job_schema(), indent=2) + "\n"


def _pipeline() -> Schema:
    """Settings, parameters that may be whole inputs or are still to be given, and the steps."""
    step = {
        "if": {"required": ["script"]},
        "then": {"$ref": "#/$defs/script_step"},
        "else": {"$ref": "#/$defs/parallel_step"},
    }
    value = {"type": ["string", "number", "boolean", "object", "null"]}
    return _joined(
        _section(PipelineSettings),
        {
            "properties": {
                "parameters": {
                    "type": ["object", "null"],
                    "additionalProperties": value,
                    "description": "As in a job; or whole inputs; null where each run must give a value.",
                },
                "steps": {"type": "array", "items": step, "minItems": 1, "description": "Jobs and scripts."},
            },
            "required": ["steps"],
        },
    )


def _parallel_step() -> Schema:
    """A job, but for what belongs to the whole pipeline; an input may be that of a parameter."""
    made = _joined(_section(Job), _section(StepOptions))
    for key in ("parameters", "output"):
        del made["properties"][key]
    inputs = made["properties"]["inputs"]
    inputs["additionalProperties"] = _any_of([inputs["additionalProperties"], _REFERENCE])
    return made


def _joined(one: Schema, other: Schema) -> Schema:
    """A section with the keys of both."""
    properties = {**one["properties"], **other["properties"]}
    return {**one, "properties": properties, "required": [*one["required"], *other["required"]]}


def _section(kind: type) -> Schema:
    settings = settings_of(kind)
    section: Schema = {
        "type": "object",
        "properties": {setting.key: _property(setting) for setting in settings},
        "required": [setting.key for setting in settings if setting.required],
        "additionalProperties": False,
    }
    if kind is Input:
        section |= {"if": {"required": ["dataset"]}, "else": {"required": ["type", "path"]}}
    return section


def _property(setting: Setting) -> Schema:
    """The value's schema, with what people are told."""
    kinds = f" Only for {', '.join(setting.types)}." if setting.types else ""
    told: Schema = {"description": f"{setting.doc}{kinds} Must be {wording(setting.hint)}."}
    auto = setting.default is None and mark(unfold(setting.hint)[1], Auto) is not None
    if auto or isinstance(setting.default, str | int | float):
        told["default"] = "auto" if auto else setting.default
    return {**_value(setting.hint), **told}


def _value(hint: Any) -> Schema:
    """What the job file may have for a field declared as `hint`."""
    bare, marks = unfold(hint)
    if (written := mark(marks, Written)) is not None:
        forms = alternatives(written.form) + ((type(None),) if optional(bare) is not None else ())
        return _any_of([_form(form) for form in forms])
    if (inner := optional(bare)) is not None:
        other: Schema = {"const": "auto"} if mark(marks, Auto) is not None else {"type": "null"}
        return _any_of([_value(inner), other])
    if alternatives(bare) != (bare,):
        return _any_of([_value(member) for member in alternatives(bare)])
    return _collection(bare, marks) or _any_of([_scalar(bare, marks), _REFERENCE])


def _collection(bare: Any, marks: tuple[Any, ...]) -> Schema | None:
    """A list or a mapping; empty ones may be null. None for anything else."""
    if is_dataclass(bare):
        section = _section(cast(type, bare))
        return section if section["required"] else {**section, "type": ["object", "null"]}
    match typing.get_origin(bare):
        case builtins.tuple if is_dataclass(element(bare)):
            return {"type": ["object", "null"], "propertyNames": _NAME, "additionalProperties": _named(bare, marks)}
        case builtins.tuple:
            return {"type": ["array", "null"], "items": _value(element(bare))}
        case builtins.dict:
            return {"type": ["object", "null"], "additionalProperties": _value(element(bare))}
        case _:
            return None


def _named(bare: Any, marks: tuple[Any, ...]) -> Schema:
    section = _section(element(bare))
    short = mark(marks, ShortFor)
    if short is None:
        return section
    (setting,) = (setting for setting in settings_of(element(bare)) if setting.key == short.key)
    return _any_of([_value(setting.hint), section])


def _form(form: Any) -> Schema:
    """One of several forms that a value is written in."""
    bare, marks = unfold(form)
    if bare is type(None):
        return {"type": "null"}
    if typing.get_origin(bare) is list:
        least = mark(marks, MinLen)
        return {"type": "array", "items": _value(element(bare)), "minItems": 0 if least is None else least.min_length}
    if is_dataclass(bare):
        return _section(cast(type, bare))
    return _any_of([_scalar(bare, marks), _REFERENCE])


def _scalar(bare: Any, marks: tuple[Any, ...]) -> Schema:
    if typing.get_origin(bare) is typing.Literal:
        return {"enum": list(typing.get_args(bare))}
    if issubclass(bare, StrEnum):
        words = [member.value for member in bare]
        return {"enum": [*words, *(word == "true" for word in words if word in ("true", "false"))]}
    if bare is str:
        pattern = mark(marks, Pattern)
        return {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern.regex}
    if bare is bool:
        return {"type": "boolean"}
    bounds = mark(marks, Interval) or Interval()
    found = {"minimum": bounds.ge, "exclusiveMinimum": bounds.gt, "maximum": bounds.le}
    limits = {name: value for name, value in found.items() if value is not None and value != LARGEST}
    return {"type": "integer" if bare is int else "number", **limits}


def _any_of(schemas: list[Schema]) -> Schema:
    """One of these; what several `anyOf` hold stands in one."""
    flat: list[Schema] = []
    for schema in schemas:
        for member in schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]:
            if member not in flat:
                flat.append(member)
    if {"type": "string"} in flat:  # a reference is text
        flat = [schema for schema in flat if schema != _REFERENCE]
    return flat[0] if len(flat) == 1 else {"anyOf": flat}
