"""What the declarations of `schema.py` say: the settings of a section, and in words what each must be.

dataclass --settings_of--> Setting, one for each key of the job file --> validate.py, json_schema.py, reference.py
                             |
                             `--wording--> "a whole number from 1 to 255"
"""

import builtins
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar

from mpibatch.config.markers import Auto, Doc, For, Internal, Interval, Key, Means, OnResume, Pattern, Quantity, Written
from mpibatch.config.schema import RunConfig
from mpibatch.config.values import LARGEST

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a section.

    name:      of the dataclass field
    key:       as the job file has it
    hint:      the annotated type
    default:   MISSING where there is none
    required:  the job file has to have it
    on_resume: a resumed run may have another value
    types:     of inputs or output files that it is for; empty: for all
    """

    name: str
    key: str
    hint: Any
    default: object
    required: bool
    doc: str
    on_resume: bool
    types: tuple[str, ...]


@cache
def settings_of(section: type) -> tuple[Setting, ...]:
    """What the job file may have in a section, in the order of its declaration."""
    hints = typing.get_type_hints(section, include_extras=True)
    found = [_setting(field, hints[field.name]) for field in fields(section)]
    return tuple(setting for setting in found if setting is not None)


def _setting(field: "Field[Any]", hint: Any) -> Setting | None:
    _, marks = unfold(hint)
    if mark(marks, Internal) is not None:
        return None
    key, doc, kinds = mark(marks, Key), mark(marks, Doc), mark(marks, For)
    assert doc is not None, f"{field.name} has no Doc"
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return Setting(
        name=field.name,
        key=field.name if key is None else key.name,
        hint=hint,
        default=default,
        required=default is MISSING if key is None else key.required,
        doc=doc.text,
        on_resume=mark(marks, OnResume) is not None,
        types=() if kinds is None else kinds.types,
    )


def default(section: type, name: str) -> Any:
    """What a setting is where the job file does not say."""
    return next(setting.default for setting in settings_of(section) if setting.name == name)


@cache
def resumable() -> tuple[str, ...]:
    """The settings that a resumed run may have otherwise than before."""
    return tuple(setting.name for setting in settings_of(RunConfig) if setting.on_resume)


def unfold(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type within `Annotated`, and the marks on it."""
    if typing.get_origin(hint) is Annotated:
        return hint.__origin__, hint.__metadata__
    return hint, ()


def mark(marks: Iterable[Any], kind: type[M]) -> M | None:
    """The last mark of a kind: an alias's goes before that of the field."""
    found = [mark for mark in marks if isinstance(mark, kind)]
    return found[-1] if found else None


def alternatives(bare: Any) -> tuple[Any, ...]:
    """The members of a union; of any other type it alone."""
    if typing.get_origin(bare) in (types.UnionType, typing.Union):
        return typing.get_args(bare)
    return (bare,)


def optional(bare: Any) -> Any:
    """X of `X | None`; None for any other type."""
    members = alternatives(bare)
    if type(None) not in members:
        return None
    (member,) = (member for member in members if member is not type(None))
    return member


def annotated(bare: Any, marks: Iterable[Any]) -> Any:
    """`bare` with marks; Annotated needs one at least."""
    marks = tuple(marks)
    return Annotated[(bare, *marks)] if marks else bare


def wording(hint: Any) -> str:
    """What a value must be, after `it must be`."""
    bare, marks = unfold(hint)
    if (written := mark(marks, Written)) is not None:
        return written.words
    if (inner := optional(bare)) is not None:
        return wording(inner) + (', or "auto"' if mark(marks, Auto) is not None else "")
    match typing.get_origin(bare):
        case typing.Literal:
            words = one_of(typing.get_args(bare))
        case builtins.tuple if not is_dataclass(element(bare)):
            words = f"a list, each element {wording(element(bare))}"
        case builtins.dict:
            words = f"a mapping, each value {wording(element(bare))}"
        case builtins.tuple:
            words = "a mapping"
        case types.UnionType | typing.Union:
            words = one_of([wording(member) for member in alternatives(bare)])
        case _:
            words = _simple(bare, marks)
    return words


def _simple(bare: type, marks: tuple[Any, ...]) -> str:
    if is_dataclass(bare):
        return "a mapping"
    if issubclass(bare, StrEnum):
        return one_of([member.value for member in bare])
    if bare is bool:
        return "true or false"
    if bare is str:
        pattern = mark(marks, Pattern)
        return "text" if pattern is None else pattern.words
    return _number(bare, marks)


def element(bare: Any) -> Any:
    """X of `tuple[X, ...]`, `list[X]` and `dict[str, X]`."""
    arguments = typing.get_args(bare)
    return arguments[1] if typing.get_origin(bare) is dict else arguments[0]


def one_of(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _number(bare: type, marks: tuple[Any, ...]) -> str:
    quantity, switch = mark(marks, Quantity), mark(marks, Means)
    bounds = mark(marks, Interval) or Interval()
    what = "a whole number" if bare is int else "a number"
    if quantity is not None:
        what += f" of {quantity.name}"
    low = bounds.ge if switch is None else switch.value + 1
    high = None if bounds.le == LARGEST else bounds.le
    if bounds.gt is not None:
        what += f" above {bounds.gt}" + ("" if high is None else f", at most {high}")
    elif high is not None:
        what += f" from {low} to {high}"
    elif low is not None:
        what += f", {low} or more"
    return what if switch is None else f"{what}, or {switch.value} {switch.effect}"
