"""References are replaced once, with their types kept, and unknown names are told with the valid ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.parameters import References, read_parameters
from mpibatch.config.problems import Problems
from mpibatch.config.values import Scalar

PARAMETERS: dict[str, Scalar] = {"size": 10, "rate": 0.5, "fast": True, "name": "a b"}
SIDES = {"model": "/m/model.bin", "staged": None}


def replaced(tree: object, key: str = "arguments") -> object:
    problems = Problems()
    result = References(PARAMETERS, SIDES).replace(tree, (key,), problems)
    assert problems.messages == []
    return result


def refused(tree: object, key: str = "arguments") -> str:
    problems = Problems()
    References(PARAMETERS, SIDES).replace(tree, (key,), problems)
    return "\n".join(problems.messages)


def overridden(*sets: str) -> dict[str, Scalar]:
    problems = Problems()
    values = read_parameters(dict(PARAMETERS), sets, problems)
    assert problems.messages == []
    return values


def test_a_string_that_is_one_reference_keeps_the_type() -> None:
    assert replaced(["${{ parameters.size }}", "${{parameters.rate}}"]) == [10, 0.5]
    assert replaced("${{ parameters.fast }}") is True


def test_a_reference_within_text_becomes_text() -> None:
    text = "--n=${{ parameters.size }},${{ parameters.fast }},${{ side_inputs.model }}"
    assert replaced({"a": [text]}) == {"a": ["--n=10,true,/m/model.bin"]}


def test_a_staged_side_input_stays_for_the_executor_and_only_in_arguments() -> None:
    assert replaced("${{ side_inputs.staged }}") == "${{ side_inputs.staged }}"
    assert "only arguments can" in refused("${{ side_inputs.staged }}", "output")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${{ parameters.sise }}", 'arguments refers to the unknown parameter "sise"; did you mean size?'),
        (
            "x ${{ side_inputs.modle }}",
            'the unknown side input "modle"; did you mean model? Valid: model, staged',
        ),
        ("${{ parameter.size }}", "did you mean parameters.size?"),
        ("${{ steps.one.output }}", "only a step of a pipeline can"),
        ("${{ }}", "does not exist"),
        ("${{ parameters.size }", "closed with }}"),
        ("${{ parameters.size }} ${{", "closed with }}"),
    ],
)
def test_bad_references_name_the_key_and_what_is_valid(text: str, message: str) -> None:
    assert message in refused(text)


def test_all_bad_references_of_a_string_are_told() -> None:
    assert refused("${{ parameters.a1 }}${{ parameters.b2 }}").count("unknown parameter") == 2


def test_a_value_cannot_bring_in_another_reference() -> None:
    """A parameter that holds `${{ side_inputs.staged }}` must not reach the executor as a reference."""
    problems = Problems()
    read_parameters({"a": "${{ side_inputs.staged }}", "b": ""}, ["b=${{ parameters.a }}"], problems)
    assert len(problems.messages) == 2


def test_set_takes_the_type_of_the_default() -> None:
    values = overridden("size=-5", "rate=1", "fast=FALSE", "name=x=y")
    assert values == {"size": -5, "rate": 1.0, "fast": False, "name": "x=y"}
    assert type(values["rate"]) is float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size=5.0", "must give a whole number"),
        ("size=" + "9" * 19, "must give a whole number"),
        ("size=true", "as the default 10 does"),
        ("rate=nan", "must give a finite number"),
        ("fast=1", "must give true or false"),
        ("sise=1", "did you mean size? Valid: size, rate, fast, name"),
        ("size", "write --set NAME=VALUE"),
        ("name=a\0b", "plain value"),
        ("\x1b[31m=1", "\\x1b[31m"),
    ],
)
def test_a_bad_set_is_refused(text: str, message: str) -> None:
    problems = Problems()
    values = read_parameters(dict(PARAMETERS), [text], problems)
    assert values == PARAMETERS
    assert len(problems.messages) == 1
    assert message in problems.messages[0]


@pytest.mark.parametrize(
    "default",
    [None, [], {}, float("nan"), float("inf"), 2**70, "${{ x }}", pytest.param(16**5000, id="huge")],
)
def test_only_plain_defaults(default: object) -> None:
    problems = Problems()
    read_parameters({"p": default}, ["p=1"], problems)
    assert problems.messages[0].startswith("parameters.p is ")


def test_parameters_must_be_named_plainly() -> None:
    problems = Problems()
    read_parameters({"a b": 1, "": 1}, [], problems)
    assert len(problems.messages) == 2
    read_parameters([1], [], problems)
    assert "parameters is a list of 1; it must be a mapping" in problems.messages[2]


@given(st.text(), st.text())
def test_no_text_makes_it_raise(text: str, setting: str) -> None:
    problems = Problems()
    References(PARAMETERS, SIDES).replace([text, "${{" + text + "}}"], ("arguments",), problems)
    read_parameters(dict(PARAMETERS), [setting, "size=" + setting, "rate=" + setting], problems)
