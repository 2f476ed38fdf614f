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

from mpibatch.config.problems import Key, Problems, escape, meant, show
from mpibatch.config.units import LARGEST

Scalar = str | int | float | bool

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
NAME_RULE = "letters, digits, - and _, begin with a letter or _, and have at most 64 characters"

REFERENCE = re.compile(r"\$\{\{\s*([^{}]*?)\s*\}\}")
_OPEN = "${{"
_KINDS = {bool: "true or false", int: "a whole number below 2**63", float: "a finite number", str: "text"}


def read_parameters(section: object, sets: Sequence[str], problems: Problems) -> dict[str, Scalar]:
    """The job file's parameters, with `--set` applied."""
    if not isinstance(section, dict | None):
        problems.wrong(("parameters",), section, "a mapping of names to defaults")
        return {}
    values: dict[str, Scalar] = {}
    for name, value in (section or {}).items():
        key: Key = ("parameters", name)
        if not NAME.fullmatch(name):
            problems.add(key, f"is not a valid name: names consist of {NAME_RULE}")
        elif not isinstance(value, Scalar) or not (isinstance(value, str) or _bounded(value)):
            problems.wrong(key, value, ", ".join(_KINDS.values()))
        elif isinstance(value, str) and _OPEN in value:
            problems.wrong(key, value, "a plain value: references are not replaced within parameters")
        values[name] = value if isinstance(value, Scalar) else ""  # the name exists, whatever its value
    for text in sets:
        _override(values, text, problems)
    return values


@dataclass(frozen=True)
class References:
    """What references may name. A side input whose path is None is staged to nodes."""

    parameters: Mapping[str, Scalar]
    side_inputs: Mapping[str, str | None] = field(default_factory=dict)

    def replace(self, tree: object, key: Key, problems: Problems) -> object:
        """`tree`, which the job file has at `key`, with the references in all its strings replaced."""
        if isinstance(tree, dict):
            return {name: self.replace(value, (*key, name), problems) for name, value in tree.items()}
        if isinstance(tree, list):
            return [self.replace(value, (*key, index), problems) for index, value in enumerate(tree)]
        if not isinstance(tree, str) or _OPEN not in tree:
            return tree
        if _OPEN in REFERENCE.sub("", tree):
            problems.wrong(key, tree, "closed with }} wherever ${{ opens a reference")
            return tree
        replaced: list[Scalar] = []
        for match in REFERENCE.finditer(tree):
            try:
                replaced.append(self._look_up(match, key))
            except LookupError as error:
                problems.add(key, str(error.args[0]))
                replaced.append("")
        if REFERENCE.fullmatch(tree):
            return replaced[0]
        texts = map(as_text, replaced)
        return REFERENCE.sub(lambda match: next(texts), tree)

    def _look_up(self, match: re.Match[str], key: Key) -> Scalar:
        """Raises LookupError with the rest of a message that begins with the key."""
        kind, _, name = match[1].partition(".")
        if kind == "parameters":
            if name in self.parameters:
                return self.parameters[name]
            raise LookupError(f"refers to the unknown parameter {show(name)}; {meant(name, self.parameters)}")
        if kind == "side_inputs":
            return self._side_input(match[0], name, key)
        if kind == "steps":
            raise LookupError(f"refers to {show(match[1])}, but pipelines are not built yet")
        known = [f"parameters.{name}" for name in self.parameters]
        known += [f"side_inputs.{name}" for name in self.side_inputs]
        raise LookupError(f"refers to {show(match[1])}, which does not exist; {meant(match[1], known)}")

    def _side_input(self, reference: str, name: str, key: Key) -> str:
        if key[0] == "side_inputs":
            raise LookupError("refers to a side input, which side inputs themselves cannot do")
        if name not in self.side_inputs:
            raise LookupError(f"refers to the unknown side input {show(name)}; {meant(name, self.side_inputs)}")
        path = self.side_inputs[name]
        if path is None and key[0] != "arguments":
            raise LookupError(f"refers to side input {show(name)}, which with `stage: node` only arguments can")
        return reference if path is None else path


def as_text(value: Scalar) -> str:
    """A value within text, an argument or an environment variable; booleans as the job file writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _override(values: dict[str, Scalar], text: str, problems: Problems) -> None:
    name, equals, value = text.partition("=")
    name = name.strip()
    said = f'--set "{escape(text)[:80]}"'
    if not equals:
        problems.say(f"{said} has no =; write --set NAME=VALUE")
    elif name not in values:
        problems.say(f"{said} names no parameter of the job file; {meant(name, values)}")
    elif _OPEN in value or "\0" in value:
        problems.say(f"{said} must give a plain value, without references")
    elif type(values[name]) in _KINDS:
        kind = type(values[name])
        converted = _convert(value, kind)
        if converted is None:
            problems.say(f"{said} must give {_KINDS[kind]}, as the default {show(values[name])} does")
        else:
            values[name] = converted


def _convert(text: str, kind: type) -> Scalar | None:
    """A `--set` value of the default's type; None if it is of another."""
    if kind is str:
        return text
    text = text.strip()
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    if kind is int and not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        return None
    try:
        number = int(text) if kind is int else float(text)
    except ValueError:
        return None
    return number if _bounded(number) else None


def _bounded(number: float) -> bool:
    return abs(number) <= LARGEST if isinstance(number, int) else math.isfinite(number)
