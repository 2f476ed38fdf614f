"""What a job file may hold, checked against the declarations of `schema.py`. The only file that knows pydantic.

    plain data --check_shape--> fields: exactly the keys that the user gave and that are sound, as the dataclasses
                     |                  have them, in nested dicts
                     `--> Problems: unknown keys and wrong values, what they are and what they must be
    text of `--set` --read_text--> one value, under the same rules

Whatever is wrong is cut out, so that `resolve.py` goes on with the rest. Types are strict: "3" and true are no
numbers. What hangs on several keys or on files is not judged here.
"""

import copy
import os
import re
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, Union, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WrapValidator
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from mpibatch.config.markers import Auto, Interval, MinLen, Pattern, ShortFor, Written
from mpibatch.config.problems import Key, Problems, as_text, format_key, format_value, nearest
from mpibatch.config.schema import Job
from mpibatch.config.settings import (
    alternatives,
    annotated,
    element,
    mark,
    optional,
    settings_of,
    unfold,
    wording,
)

Fields = dict[str, Any]
"""A section of the job file: its keys, with values that are sound."""

STRICT = ConfigDict(strict=True)
_NOT_ALLOWED = "not_allowed"
_DIGITS = re.compile(r"\s*[+-]?[0-9]{1,30}\s*")


def read_text(hint: Any, text: str) -> Any:
    """The value that `text` of a command line means for a setting declared as `hint`: a number, a flag, or text.

    Raises ValueError with what it must be, in the words of the job file.
    """
    readings: list[object] = [text]
    with suppress(ValueError):
        readings.insert(0, int(text) if _DIGITS.fullmatch(text) else float(text))
    if text.strip().lower() in ("true", "false"):
        readings.insert(0, text.strip().lower() == "true")
    with _without_plugins():
        adapter: TypeAdapter[Any] = TypeAdapter(_checked(hint), config=STRICT)
    for value in readings:
        with suppress(ValidationError):
            return adapter.validate_python(value)
    raise ValueError(wording(hint))


@cache
def _adapter(kind: type) -> "TypeAdapter[Fields]":
    with _without_plugins():
        return TypeAdapter(_section(kind))


@contextmanager
def _without_plugins() -> Iterator[None]:
    """Else pydantic looks for some in the metadata of every package that is installed, which takes longer than a check.

    Scripts, which inherit the environment, may have theirs.
    """
    name = "PYDANTIC_DISABLE_PLUGINS"
    before = os.environ.get(name)
    os.environ[name] = "__all__"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _section(kind: type, *, total: bool = False) -> Any:
    """The keys of a section; total: all have to be there."""
    keys = {setting.key: _checked(setting.hint) for setting in settings_of(kind)}
    section = cast(Any, TypedDict)(kind.__name__, keys, total=total)
    section.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return section


def _checked(hint: Any) -> Any:
    """The type with which pydantic checks what the job file may have for a field declared as `hint`."""
    bare, marks = unfold(hint)
    wrapped = allowed(wording(hint))
    if (written := mark(marks, Written)) is not None:
        kind = _form(written.form)
        if bare is str:
            return Annotated[kind, AfterValidator(as_text), wrapped]
        return Annotated[kind if optional(bare) is None else kind | None, wrapped]
    if (inner := optional(bare)) is None:
        return _collection(bare, marks) or _scalar(bare, marks, wrapped)
    kind = _checked(inner)
    if mark(marks, Auto) is None:
        return kind | None
    return Annotated[kind | Literal["auto"], AfterValidator(_none_if_auto), wrapped]


def _collection(bare: Any, marks: tuple[Any, ...]) -> Any:
    """A list or a mapping; each of its elements that is wrong is a problem of its own. None for anything else."""
    origin = typing.get_origin(bare)
    if origin is tuple and not is_dataclass(element(bare)):
        kind: Any = list[_checked(element(bare))]  # type: ignore[misc]
        return Annotated[kind, BeforeValidator(_list_if_empty), AfterValidator(tuple)]
    if origin is tuple:
        kind = dict[str, _named(element(bare), mark(marks, ShortFor))]  # type: ignore[misc]
    elif origin is dict:
        kind = dict[str, _checked(element(bare))]  # type: ignore[misc]
    elif is_dataclass(bare):
        kind = _section(cast(type, bare))
    else:
        return None
    return Annotated[kind, BeforeValidator(_mapping_if_empty)]


def _scalar(bare: Any, marks: tuple[Any, ...], wrapped: WrapValidator) -> Any:
    """A number, text, one of several words, or one of several of these."""
    checks: list[Any] = []
    if bare is str:
        pattern = mark(marks, Pattern)
        if pattern is None:
            return str
        checks = [Field(pattern=pattern.regex)]
    elif bare is float:
        checks = [Field(allow_inf_nan=False), *_bounds(marks)]
    elif bare is int:
        checks = _bounds(marks)
    elif isinstance(bare, type) and issubclass(bare, StrEnum):
        checks = [BeforeValidator(_member_of(bare))]
    return Annotated[(bare, *checks, wrapped)]


def _bounds(marks: tuple[Any, ...]) -> list[Any]:
    """What a number or a list must keep to, in pydantic's words."""
    found: list[Any] = []
    for one in marks:
        if isinstance(one, Interval):
            found.append(Field(ge=one.ge, gt=one.gt, le=one.le))
        elif isinstance(one, MinLen):
            found.append(Field(min_length=one.min_length))
    return found


def _form(form: Any) -> Any:
    """The type of a value that is written in one of several forms; what is wrong within it is one problem."""
    bare, marks = unfold(form)
    if alternatives(bare) != (bare,):
        return Union[tuple(_form(member) for member in alternatives(bare))]  # noqa: UP007  # of a computed tuple
    if typing.get_origin(bare) is list:
        return annotated(list[_form(element(bare))], (*_bounds(marks),))  # type: ignore[misc]
    if is_dataclass(bare):
        return _section(cast(type, bare), total=True)
    return _scalar(bare, marks, allowed(wording(form))) if marks else bare


def _named(section: type, short: ShortFor | None) -> Any:
    """A section below a name, or the text that is short for it."""
    kind = _section(section)
    if short is None:
        return kind

    def expand(value: Any) -> Any:
        return {short.key: value} if isinstance(value, str) else value

    return Annotated[kind, BeforeValidator(expand)]


def allowed(what: str) -> WrapValidator:
    """Words whatever goes wrong within a value as one problem: what it must be."""

    def check(value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError(_NOT_ALLOWED, "{what}", {"what": what}) from None

    return WrapValidator(check)


def _member_of(kind: type[StrEnum]) -> Callable[[Any], Any]:
    """The text of an enum's member, and true or false where a member is called so."""

    def convert(value: Any) -> Any:
        text = as_text(value) if isinstance(value, bool) else value
        return next((member for member in kind if isinstance(text, str) and member.value == text), value)

    return convert


def _none_if_auto(value: Any) -> Any:
    return None if value == "auto" else value


# Sections that hold nothing but comments are None in YAML; they count as empty.
def _mapping_if_empty(value: Any) -> Any:
    return {} if value is None else value


def _list_if_empty(value: Any) -> Any:
    return [] if value is None else value


def check_shape(data: dict[str, object], problems: Problems, kind: type = Job) -> Fields:
    """What is sound in `data`, which has the keys of `kind`; everything else becomes a problem."""
    data = copy.deepcopy(data)
    for key in problems.keys:
        _cut(data, key)
    sections: set[Key] = set()
    while True:
        try:
            return _adapter(kind).validate_python(data)
        except ValidationError as error:
            found = [(*_find(data, detail["loc"]), detail) for detail in error.errors(include_url=False)]
            for key, value, detail in found:
                _report(key, value, detail, kind, sections, problems)
                _cut(data, key)


def _report(key: Key, value: object, detail: ErrorDetails, kind: type, sections: set[Key], problems: Problems) -> None:
    """`sections`: those whose valid keys were listed before, which is not repeated."""
    match detail["type"]:
        case "extra_forbidden":
            listed = key[:-1] in sections
            sections.add(key[:-1])
            problems.add(key, f"is unknown; {_advice(key, kind, listed)}")
        case _ if detail["type"] == _NOT_ALLOWED:
            problems.add_invalid(key, value, detail["msg"])
        case "list_type":
            problems.add_invalid(key, value, "a list")
        case "dict_type":
            problems.add_invalid(key, value, "a mapping")
        case "string_type":
            problems.add_invalid(key, value, "text")
        case _:
            problems.add(key, f"is {format_value(value)}: {detail['msg']}")


def _advice(key: Key, kind: type, listed: bool) -> str:
    """For an unknown key: the key of that name elsewhere, or the nearest one here; and all valid ones."""
    name = str(key[-1])
    sections = _sections(kind, ())
    valid = _valid_keys(key[:-1], sections)
    homes = [format_key((*parent, name)) for parent, section in sections if name in _keys(section)]
    guess = homes[0] if homes else nearest(name, valid)
    hints = [f"did you mean {guess}?"] if guess else []
    hints += [f"Valid here: {', '.join(valid)}" if not listed else "Valid are those listed above"]
    return " ".join(hints)


def _sections(kind: type, parent: Key) -> list[tuple[Key, type]]:
    """A section and those in it; NAME stands for any name."""
    found = [(parent, kind)]
    for setting in settings_of(kind):
        bare, _ = unfold(setting.hint)
        if is_dataclass(bare):
            found += _sections(cast(type, bare), (*parent, setting.key))
        elif typing.get_origin(bare) is tuple and is_dataclass(element(bare)):
            found += _sections(element(bare), (*parent, setting.key, "NAME"))
    return found


def _keys(kind: type) -> list[str]:
    return [setting.key for setting in settings_of(kind)]


def _valid_keys(key: Key, sections: list[tuple[Key, type]]) -> list[str]:
    """The valid keys of the mapping at `key`."""
    for parent, kind in sections:
        if len(parent) == len(key) and all(part in ("NAME", there) for part, there in zip(parent, key, strict=True)):
            return _keys(kind)
    return []


def _find(data: Any, location: tuple[str | int, ...]) -> tuple[Key, Any]:
    """The deepest key along pydantic's location that the user wrote, and its value."""
    key: Key = ()
    for part in location:
        if not (isinstance(data, dict) and part in data) and not isinstance(data, list):
            break
        data = data[part]  # type: ignore[index]  # a list's part is an index
        key = (*key, part)
    return key, data


def _cut(data: Any, key: Key) -> None:
    """Removes what is at `key`; of a list the whole, since its other elements mean little without one."""
    parents = next((key[:index] for index, part in enumerate(key) if isinstance(part, int)), key)
    *path, last = parents
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return
        data = data[part]
    if isinstance(data, dict):
        data.pop(last, None)
