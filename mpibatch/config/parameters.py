"""Parameters and references: `--set K=V` and `${{ parameters.X }}`, `${{ side_inputs.X }}`.

    parameters: {batch_size: 10}  --(--set batch_size=5)-->  {"batch_size": 5}
    "${{ parameters.batch_size }}"         -->  5            the whole string is one reference: its type stays
    "--size=${{ parameters.batch_size }}"  -->  "--size=5"

What was put in is never looked at again, so a value cannot smuggle in a reference. A side input staged to
nodes has no path yet: its reference stays in `arguments` for the executor to replace.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from mpibatch.config.markers import Interval
from mpibatch.config.problems import Key, Problems, as_text, escape, format_value, suggest
from mpibatch.config.validate import read_text
from mpibatch.config.values import LARGEST, NAME, REFERENCE, Scalar

_OPEN = "${{"
_KINDS = {bool: "true or false", int: "a whole number below 2**63", float: "a finite number", str: "text"}
_TYPES = {bool: bool, int: Annotated[int, Interval(ge=-LARGEST, le=LARGEST)], float: float, str: str}


def read_parameters(section: object, sets: Sequence[str], problems: Problems) -> dict[str, Scalar]:
    """The job file's parameters, with `--set` applied."""
    if not isinstance(section, dict | None):
        problems.add_invalid(("parameters",), section, "a mapping of names to defaults")
        return {}
    values: dict[str, Scalar] = {}
    for name, value in (section or {}).items():
        key: Key = ("parameters", name)
        if not NAME.matches(name):
            problems.add(key, f"is not a valid name: names are {NAME.words}")
        elif not isinstance(value, Scalar) or not (isinstance(value, str) or _bounded(value)):
            problems.add_invalid(key, value, ", ".join(_KINDS.values()))
        elif isinstance(value, str) and _OPEN in value:
            problems.add_invalid(key, value, "a plain value: references are not replaced within parameters")
        values[name] = value if isinstance(value, Scalar) else ""  # the name exists, whatever its value
    for text in sets:
        _override(values, text, problems)
    return values


@dataclass(frozen=True)
class References:
    """What references may name. A side input whose path is None is staged to nodes.

    parameters: a value may be a mapping, which replaces a string that is one reference
    later:      kinds of references that are left as they are, for another to replace
    """

    parameters: Mapping[str, Scalar | dict[str, Any]]
    side_inputs: Mapping[str, str | None] = field(default_factory=dict)
    later: tuple[str, ...] = ()

    def replace(self, tree: object, key: Key, problems: Problems) -> object:
        """`tree`, which the job file has at `key`, with the references in all its strings replaced."""
        if isinstance(tree, dict):
            return {name: self.replace(value, (*key, name), problems) for name, value in tree.items()}
        if isinstance(tree, list):
            return [self.replace(value, (*key, index), problems) for index, value in enumerate(tree)]
        if not isinstance(tree, str) or _OPEN not in tree:
            return tree
        if _OPEN in REFERENCE.sub("", tree):
            problems.add_invalid(key, tree, "closed with }} wherever ${{ opens a reference")
            return tree
        replaced: list[Scalar | dict[str, Any]] = []
        for match in REFERENCE.finditer(tree):
            try:
                replaced.append(self._look_up(match, key))
            except LookupError as error:
                problems.add(key, str(error.args[0]))
                replaced.append("")
        if REFERENCE.fullmatch(tree):
            return replaced[0]
        if any(isinstance(value, dict) for value in replaced):
            problems.add_invalid(key, tree, "a reference alone, where its parameter is a whole input")
        texts = map(as_text, cast(list[Scalar], replaced))
        return REFERENCE.sub(lambda match: next(texts), tree)

    def _look_up(self, match: re.Match[str], key: Key) -> Scalar | dict[str, Any]:
        """Raises LookupError with the rest of a message that begins with the key."""
        kind, _, name = match[1].partition(".")
        if kind in self.later:
            return match[0]
        if kind == "parameters":
            if name in self.parameters:
                return self.parameters[name]
            raise LookupError(f"refers to the unknown parameter {format_value(name)}; {suggest(name, self.parameters)}")
        if kind == "side_inputs":
            return self._side_input(match[0], name, key)
        if kind == "steps":
            raise LookupError(f"refers to {format_value(match[1])}, but only a step of a pipeline can")
        known = [f"parameters.{name}" for name in self.parameters]
        known += [f"side_inputs.{name}" for name in self.side_inputs]
        raise LookupError(f"refers to {format_value(match[1])}, which does not exist; {suggest(match[1], known)}")

    def _side_input(self, reference: str, name: str, key: Key) -> str:
        if key[0] == "side_inputs":
            raise LookupError("refers to a side input, which side inputs themselves cannot do")
        if name not in self.side_inputs:
            raise LookupError(
                f"refers to the unknown side input {format_value(name)}; {suggest(name, self.side_inputs)}"
            )
        path = self.side_inputs[name]
        if path is None and key[0] != "arguments":
            raise LookupError(f"refers to side input {format_value(name)}, which with `stage: node` only arguments can")
        return reference if path is None else path


def _override(values: dict[str, Scalar], text: str, problems: Problems) -> None:
    name, equals, value = text.partition("=")
    name = name.strip()
    said = f'--set "{escape(text)[:80]}"'
    if not equals:
        problems.add_general(f"{said} has no =; write --set NAME=VALUE")
    elif name not in values:
        problems.add_general(f"{said} names no parameter of the job file; {suggest(name, values)}")
    elif _OPEN in value or "\0" in value:
        problems.add_general(f"{said} must give a plain value, without references")
    elif type(values[name]) in _KINDS:
        try:
            values[name] = read_like(values[name], value)
        except ValueError as error:
            problems.add_general(f"{said} must give {error}")


def read_like(default: Scalar, text: str) -> Scalar:
    """What `text` says, of the type of a default. Raises ValueError with what it must be."""
    kind = type(default)
    try:
        value: Scalar = read_text(_TYPES[kind], text)
    except ValueError:
        raise ValueError(f"{_KINDS[kind]}, as the default {format_value(default)} does") from None
    return value


def _bounded(number: float) -> bool:
    return abs(number) <= LARGEST if isinstance(number, int) else math.isfinite(number)
