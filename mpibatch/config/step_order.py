"""In which order the steps of a pipeline run: what refers to an output, or is told to, comes after it.

    steps as the file has them --sort_steps--> the same, with what each needs, in an order that works

Steps that are free to come in any order keep that of the file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mpibatch.config.pipeline_schema import Step
from mpibatch.config.problems import Problems, format_value, suggest
from mpibatch.config.values import REFERENCE

_OWN = ("arguments", "environment_variables", "parallel_run_config")
"""Where a step may name its own output."""


def sort_steps(steps: Sequence[Step], problems: Problems) -> tuple[Step, ...]:
    """The steps in order. A cycle, and a step that is not there, are problems."""
    names = [step.name for step in steps]
    known = [replace(step, needs=_needs(step, names, problems)) for step in steps]
    ordered: list[Step] = []
    left = known
    while left:
        done = {step.name for step in ordered}
        ready = [step for step in left if done.issuperset(step.needs)]
        if not ready:
            problems.add_general(f"steps wait for each other: {' needs '.join(_cycle(left))}")
            break
        ordered.append(ready[0])
        left = [step for step in left if step is not ready[0]]
    order = [step.name for step in ordered]
    return tuple(replace(step, needs=tuple(sorted(step.needs, key=order.index))) for step in ordered)


def _needs(step: Step, names: Sequence[str], problems: Problems) -> tuple[str, ...]:
    found = set()
    for key, reference in _references(step.data, ""):
        name, _, rest = reference.removeprefix("steps.").partition(".")
        if rest != "output":
            problems.add_general(
                f"step {step.name}: {key} refers to {format_value(reference)}, which does not exist; a step has one "
                f"output: {format_value(f'steps.{name}.output')}"
            )
        elif name not in names:
            problems.add_general(
                f"step {step.name}: {key} refers to the output of {format_value(name)}, a step that does not exist; "
                f"{suggest(name, names)}"
            )
        elif name != step.name:
            found.add(name)
        elif key not in _OWN:
            problems.add_general(f"step {step.name}: {key} refers to its own output, which is not there yet")
    for name in step.options.run_after:
        if name not in names:
            problems.add_general(f"step {step.name}: run_after names no step; {suggest(name, names)}")
        elif name == step.name:
            problems.add_general(f"step {step.name}: run_after names the step itself")
        else:
            found.add(name)
    return tuple(name for name in names if name in found)


def _references(tree: Any, key: str) -> Iterator[tuple[str, str]]:
    """References to steps, with the key of the step in which they are."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _references(value, key or name)
    elif isinstance(tree, list):
        for value in tree:
            yield from _references(value, key)
    elif isinstance(tree, str):
        yield from ((key, match[1]) for match in REFERENCE.finditer(tree) if match[1].startswith("steps."))


def _cycle(steps: Sequence[Step]) -> list[str]:
    """Names along a circle of steps that need each other; there is one."""
    needs = {step.name: [name for name in step.needs if name in {other.name for other in steps}] for step in steps}
    path = [steps[0].name]
    while path.count(path[-1]) == 1:
        path.append(needs[path[-1]][0])
    return path[path.index(path[-1]) :]
