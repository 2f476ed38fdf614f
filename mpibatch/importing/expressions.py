"""`${{...}}` and `$[[...]]` of v2 job files, as references of ours.

${{parent.inputs.X}}          the pipeline's input X: a parameter
${{parent.jobs.A.outputs.Y}}  the output folder of step A
${{inputs.X}} ${{outputs.Y}}  of the step itself, in its arguments
$[[--opt ${{inputs.X}}]]      there only if X has a value
"""

import re
import shlex
from collections.abc import Callable, Mapping

from mpibatch.importing.notes import ImportProblem

REFERENCE = re.compile(r"\$\{\{\s*([^{}]*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


def arguments(text: str, inputs: Mapping[str, str | None], outputs: Callable[[str], str], where: str) -> list[str]:
    """The words of a command line.

    inputs:  what stands for each input; None where it has no value
    outputs: gives what stands for an output
    Raises ImportProblem for what cannot be looked up.
    """

    def keep(match: re.Match[str]) -> str:
        used = [_name(reference[1]) for reference in REFERENCE.finditer(match[1])]
        return match[1] if all(inputs.get(name) is not None for name in used) else ""

    def look_up(match: re.Match[str]) -> str:
        kind = match[1].partition(".")[0]
        if kind == "outputs":
            return outputs(_name(match[1]))
        value = inputs.get(_name(match[1])) if kind == "inputs" else None
        if value is None:
            raise ImportProblem(f"{where}: {match[0]} is not among its inputs and outputs, or has no value")
        return value

    # a reference is one word, whatever is put in its place: split first
    hidden = REFERENCE.sub(lambda match: "${{" + match[1].replace(" ", "") + "}}", _OPTIONAL.sub(keep, text))
    try:
        words = shlex.split(hidden)
    except ValueError as error:
        raise ImportProblem(f"{where}: its command line cannot be split into words: {error}") from None
    return [REFERENCE.sub(look_up, word) for word in words]


def _name(reference: str) -> str:
    """`x` of inputs.x and of inputs.x.path."""
    return reference.split(".")[1] if "." in reference else reference
