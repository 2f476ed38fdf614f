"""All problems are told at once, each with its key, its value, what is allowed and what was meant."""

import datetime
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.load import job_from_data
from mpibatch.config.schema import RunConfig
from mpibatch.config.serialize import from_json, to_json
from mpibatch.errors import JobFileError

Problems = Callable[..., list[str]]

CONFIG = "parallel_run_config"


@pytest.mark.parametrize("plugins", [None, "mine"])
def test_the_environment_is_left_as_it_was(
    problems: Problems, monkeypatch: pytest.MonkeyPatch, plugins: str | None
) -> None:
    """A script's own pydantic has its plugins."""
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    if plugins is not None:
        monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", plugins)
    assert problems({}, sets=("parallel_run_config.run_max_try=many",))
    assert os.environ.get("PYDANTIC_DISABLE_PLUGINS") == plugins


def test_all_problems_are_told_at_once(problems: Problems) -> None:
    found = problems(
        {"run_max_try": 0, "mini_batch_sise": 3, "mini_batch_size": "5 bananas", "entry_script": "scor.py"},
        name="Bad",
        side_inputs={"model": "nope.bin"},
        arguments=["${{ side_inputs.modle }}"],
        sets=("x=1",),
    )
    text = "\n".join(found)
    assert len(found) == 8
    assert f"{CONFIG}.run_max_try is 0; it must be a whole number from 1 to 255" in text
    assert (
        f"{CONFIG}.mini_batch_sise is unknown; did you mean mini_batch_size? Valid here: entry_script, source_dir"
        in text
    )
    assert f'{CONFIG}.mini_batch_size is "5 bananas"; it must be a positive number of files' in text
    assert "did you mean score.py?" in text
    assert 'side_inputs.model is "nope.bin", but there is no' in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("error_threshold", "yes"),
        ("error_threshold", True),
        ("error_threshold", 1.0),
        ("error_threshold", -2),
        ("error_threshold", 2**63),
        ("error_threshold", None),
        ("allowed_failed_count", -2),
        ("allowed_failed_percent", 101),
        ("allowed_failed_percent", -0.5),
        ("allowed_failed_percent", float("nan")),
        ("run_max_try", 0),
        ("run_max_try", 256),
        ("run_max_try", "3"),
        ("run_invocation_timeout", 0),
        ("run_invocation_timeout", -1),
        ("run_invocation_timeout", float("inf")),
        ("run_invocation_timeout", True),
        ("load_timeout", "60"),
        ("init_timeout", 1e300),
        ("grace", -1),
        ("node_count", 0),
        ("process_count_per_node", 0),
        ("process_count_per_node", "many"),
        ("process_count_per_node", True),
        ("coordinator_works", "yes"),
        ("coordinator_works", 1),
        ("isolate_failures", "true"),
        ("max_mini_batches_per_executor", -1),
        ("mini_batch_count", 0),
        ("output_action", "append"),
        ("device", "tpu"),
        ("logging_level", "info"),
        ("partition_keys", "a"),
        ("partition_keys", ["a", "a"]),
        ("partition_keys", [""]),
        ("environment_variables", {"A": True}),
        ("environment_variables", {"A": None}),
        ("environment_variables", {"A=B": "x"}),
        ("environment_variables", ["A"]),
        ("append_row_format", []),
        ("append_row_file_name", "sub/rows.csv"),
        ("append_row_file_name", "../rows.csv"),
        ("append_row_file_name", "rows.xlsx"),
        ("append_row_file_name", "rows"),
        ("append_row_file_name", ".csv"),
        ("append_row_file_name", "a\nb.csv"),
        ("append_row_file_name", "a" * 300 + ".csv"),
        ("source_directory", "nowhere"),
        ("source_directory", 3),
        ("entry_script", ""),
        ("entry_script", "nothing.here"),
        ("entry_script", None),
        ("mini_batch_size", datetime.date(2024, 1, 1)),
    ],
)
def test_bad_settings_are_one_problem_each(problems: Problems, key: str, value: object) -> None:
    found = problems({key: value})
    assert len(found) == 1
    assert found[0].startswith(f"{CONFIG}.{key}")


@pytest.mark.parametrize("name", ["ab", "a" * 33, "Abc", "1ab", "ab-", "a_b", "abc\n", "", 123, None, True])
def test_bad_names(problems: Problems, name: object) -> None:
    (found,) = problems(name=name)
    assert "3 to 32 lower-case letters" in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ...}, "name is missing"),
        ({"inputs": ...}, "inputs is missing; without input, give parallel_run_config.mini_batch_count"),
        ({"inputs": {}}, "inputs is missing"),
        ({"parallel_run_config": ...}, "parallel_run_config is missing"),
        ({"parallel_run_config": {}}, "parallel_run_config.entry_script is missing"),
        ({"parallel_run_config": 3}, "parallel_run_config is 3; it must be a mapping"),
        ({"inputs": {"a": {"type": "files"}}}, "inputs.a.path is missing"),
        ({"inputs": {"a": {"path": "x"}}}, "inputs.a.type is missing"),
        (
            {"inputs": {"a": {"type": "tsv", "path": "x"}}},
            "it must be files, tar, lines, csv, jsonl, parquet, arrow, orc, hdf5 or mltable",
        ),
        ({"inputs": {"a b": {"type": "csv", "path": "x"}}}, 'inputs["a b"] is not a valid name'),
        ({"inputs": ["data"]}, "inputs is a list of 1; it must be a mapping"),
        ({"steps": []}, "so it is a pipeline"),
        ({"nmae": 1}, "nmae is unknown; did you mean name? Valid here: name, parameters, inputs"),
        ({"run_max_try": 3}, "did you mean parallel_run_config.run_max_try?"),
        ({"arguments": "--fast"}, 'arguments is "--fast"; it must be a list'),
        ({"arguments": [None]}, "arguments[0] is empty"),
        ({"allow_reuse": "yes"}, 'allow_reuse is "yes"; it must be true or false'),
        ({"output": "score.py"}, "which is no folder"),
        ({"side_inputs": {"m": {"path": "model.bin", "stage": "disk"}}}, "it must be none or node"),
        ({"side_inputs": {"m": {"stage": "node"}}}, "side_inputs.m.path is missing"),
        ({"side_inputs": {"m": "s3://b/model"}}, "not a URL"),
        ({"side_inputs": {"m": "model.bin", "n": "${{ side_inputs.m }}"}}, "cannot do"),
        ({"\x1b[31m": 1}, '["\\x1b[31m"] is unknown'),
    ],
)
def test_bad_job_files(problems: Problems, changes: dict[str, Any], message: str) -> None:
    (found,) = problems(**changes)
    assert message in found


@pytest.mark.parametrize("path", ["", " ", [], [""], ["a", 1], 3, None, {}, {"manifest": ""}, {"list": "x"}])
def test_paths_that_are_none(problems: Problems, path: object) -> None:
    (found,) = problems(inputs={"a": {"type": "files", "path": path}})
    assert found.startswith("inputs.a.path is ")
    assert "a path, a glob, a folder, a list of these, or {manifest: FILE}" in found


@pytest.mark.parametrize(
    ("type", "options", "message"),
    [
        (
            "files",
            {"has_header": True},
            "inputs.a.has_header does not belong to an input of type files: it is for csv",
        ),
        ("hdf5", {"column_types": {"a": "int"}}, "it is for csv, jsonl, parquet, arrow or orc"),
        ("csv", {"datasets": ["x"]}, "it is for hdf5"),
        ("csv", {"delimiter": "ab"}, "a single ASCII character"),
        ("csv", {"delimiter": "\n"}, "a single ASCII character"),
        ("csv", {"delimiter": '"'}, "is the same as quote"),
        ("csv", {"encoding": "klingon"}, 'encoding is "klingon"'),
        ("csv", {"encoding": "hex"}, "a text encoding"),
        ("csv", {"quoted_newlines": "maybe"}, "it must be auto, true or false"),
        ("csv", {"columns": ["a", "a"]}, "names something twice"),
        ("csv", {"path": ["a.csv", "b.tsv"]}, "inputs.a.delimiter is missing"),
        ("csv", {"has_heder": True}, "did you mean has_header?"),
    ],
)
def test_options_of_an_input(problems: Problems, type: str, options: dict[str, Any], message: str) -> None:
    (found,) = problems(inputs={"a": {"type": type, "path": "x.csv", **options}})
    assert message in found


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"mini_batch_size": 5, "partition_keys": ["a"]},
            "mini_batch_size cannot be combined with partition_keys",
        ),
        ({"mini_batch_count": 5}, "mini_batch_count cannot be combined with inputs"),
        ({"append_row_format": {"sep": ";"}}, "append_row_format.sep is for .csv only"),
        (
            {"append_row_file_name": "a.csv", "append_row_format": {"float_format": "%d"}},
            "a format of one number",
        ),
        ({"append_row_file_name": "a.csv", "append_row_format": {"float_format": "%9999999f"}}, "such as"),
        (
            {"append_row_format": {"separator": ";"}},
            "append_row_format.separator is unknown; Valid here: sep",
        ),
    ],
)
def test_settings_that_exclude_each_other(problems: Problems, config: dict[str, Any], message: str) -> None:
    (found,) = problems(config)
    assert message in found


def test_a_count_of_mini_batches_has_nothing_to_cut(problems: Problems) -> None:
    (found,) = problems({"mini_batch_count": 5, "mini_batch_size": 5}, inputs=...)
    assert "mini_batch_size cannot be combined with mini_batch_count" in found


def test_inputs_of_different_types(problems: Problems) -> None:
    (found,) = problems(inputs={"a": {"type": "files", "path": "x"}, "b": {"type": "csv", "path": "y"}})
    assert "a is files, b is csv" in found


def test_one_fault_is_not_told_twice(problems: Problems) -> None:
    """A bad type must not also make mini_batch_size wrong, nor an unknown parameter the script missing."""
    assert len(problems({"mini_batch_size": "1MB"}, inputs={"a": {"type": "cvs", "path": "x"}})) == 1
    assert len(problems({"entry_script": "${{ parameters.x }}"})) == 1


def test_the_valid_keys_of_a_section_are_listed_once(problems: Problems) -> None:
    found = problems({"aaa": 1, "bbb": 2})
    assert sum("Valid here:" in problem for problem in found) == 1


def test_a_script_with_a_fault_is_told_with_its_line(folder: Path, problems: Problems) -> None:
    (folder / "score.py").write_text("def run(mini_batch):\n    return (\n")
    (found,) = problems()
    assert f"{folder}/score.py:2: SyntaxError" in found


def test_hostile_text_reaches_no_terminal(problems: Problems) -> None:
    evil = "\x1b]0;x\x07\u202e" + "\n" * 1000
    text = "\n".join(problems({evil: evil, "device": evil}, name=evil, arguments=["${{" + evil + "}}"]))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text) < 5000


SETTINGS = [field.name for field in fields(RunConfig)]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
REFERENCES = st.sampled_from(["${{ parameters.a }}", "${{ side_inputs.m }}", "${{", "auto", "files", "node", "a.csv"])
KEYS = st.sampled_from([*SETTINGS, "path", "type", "stage", "delimiter", "a"]) | SCALARS
TREES = st.recursive(
    SCALARS | REFERENCES,
    lambda tree: st.lists(tree, max_size=3) | st.dictionaries(KEYS, tree, max_size=4),
    max_leaves=12,
)
SECTIONS = ["name", "parameters", "inputs", "side_inputs", "arguments", "output", "allow_reuse", CONFIG]


def problems_of(data: dict[Any, Any], folder: Path) -> list[str]:
    try:
        job_from_data(data, folder)
    except JobFileError as error:
        return error.problems or ["an error without a problem \n"]
    return []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(SECTIONS) | KEYS, TREES, max_size=8), st.booleans())
def test_any_data_gives_a_job_or_a_job_file_error(folder: Path, data: dict[Any, Any], sound: bool) -> None:
    """`sound` starts from a job without faults, so that the later checks are reached as well."""
    base: dict[Any, Any] = {
        "name": "abc",
        "inputs": {"a": {"type": "files", "path": "x"}},
        CONFIG: {"entry_script": "score.py"},
    }
    given = {**base, **data} if sound else data
    found = problems_of(given, folder)
    assert all(problem.isprintable() for problem in found)
    if not found:
        job = job_from_data(given, folder)
        assert from_json(to_json(job)) == job


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(SETTINGS), TREES, max_size=4))
def test_any_setting_gives_a_job_or_a_job_file_error(folder: Path, config: dict[str, Any]) -> None:
    inputs = {"a": {"type": "csv", "path": "x"}}
    data = {"name": "abc", "inputs": inputs, CONFIG: {"entry_script": "score.py", **config}}
    assert all(problem.startswith(CONFIG) for problem in problems_of(data, folder))
