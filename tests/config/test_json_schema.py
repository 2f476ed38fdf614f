"""An editor that knows the schema and `mpibatch validate` agree: on the jobs of this repository, and on wrong ones."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from mpibatch.config.json_schema import job_schema
from mpibatch.config.load import job_from_data
from mpibatch.config.schema import Input, Job, RowFormat, RunConfig, SideInput
from mpibatch.config.settings import settings_of
from mpibatch.errors import JobFileError
from tests.config.test_load import EVERYTHING

JOBS = Path(__file__).parents[2] / "jobs"
VALIDATOR = Draft202012Validator(job_schema())
SOUND: dict[str, Any] = yaml.safe_load(EVERYTHING)


def wrong_keys(data: object) -> list[str]:
    """Where the schema finds something wrong; of an unknown or a missing key, the section."""
    return [".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(data)]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(job_schema())


@pytest.mark.parametrize("path", sorted([*JOBS.glob("*/job.yaml"), *JOBS.glob("*/pipeline.yaml")]), ids=str)
def test_the_jobs_of_this_repository_pass(path: Path) -> None:
    assert wrong_keys(yaml.safe_load(path.read_text())) == []


def test_a_job_with_every_key_passes() -> None:
    assert wrong_keys(SOUND) == []


def test_sections_with_nothing_but_comments_pass() -> None:
    empty = dict.fromkeys(("parameters", "side_inputs", "arguments"))
    config = {**SOUND["parallel_run_config"], "environment_variables": None, "append_row_format": None}
    assert wrong_keys({**SOUND, **empty, "parallel_run_config": config}) == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("name", "Bad_Name"),
        ("name", 3),
        ("parameters.batch_size", [1]),
        ("inputs", ["data"]),
        ("inputs.first.type", "tsv"),
        ("inputs.first.path", 3),
        ("inputs.first.path", []),
        ("inputs.first.path", ["a", ""]),
        ("inputs.first.path", {"manifest": 3}),
        ("inputs.first.delimiter", "ab"),
        ("inputs.first.quoted_newlines", "maybe"),
        ("inputs.first.has_header", "yes"),
        ("inputs.first.columns", "a"),
        ("inputs.first.column_types.a", 3),
        ("side_inputs.big", 3),
        ("side_inputs.big", {"path": "model.bin", "stage": "disk"}),
        ("arguments", "--fast"),
        ("output", ""),
        ("allow_reuse", "no"),
        ("parallel_run_config", None),
        ("parallel_run_config.entry_script", ""),
        ("parallel_run_config.mini_batch_size", True),
        ("parallel_run_config.mini_batch_count", 0),
        ("parallel_run_config.partition_keys", "a"),
        ("parallel_run_config.error_threshold", -2),
        ("parallel_run_config.error_threshold", "none"),
        ("parallel_run_config.allowed_failed_percent", 101),
        ("parallel_run_config.output_action", "append"),
        ("parallel_run_config.append_row_file_name", "rows.xlsx"),
        ("parallel_run_config.append_row_format.float_format", "%d"),
        ("parallel_run_config.process_count_per_node", "many"),
        ("parallel_run_config.coordinator_works", "yes"),
        ("parallel_run_config.device", "tpu"),
        ("parallel_run_config.run_max_try", 0),
        ("parallel_run_config.run_invocation_timeout", 0),
        ("parallel_run_config.grace", -1),
        ("parallel_run_config.logging_level", "info"),
        ("parallel_run_config.environment_variables.A", True),
    ],
)
def test_a_wrong_value_is_found_at_its_key(where: str, value: object) -> None:
    """By the schema, and by mpibatch itself."""
    data = copy.deepcopy(SOUND)
    *sections, key = where.split(".")
    section = data
    for name in sections:
        section = section[name]
    section[key] = value
    found = wrong_keys(data)
    assert found
    assert {path[: len(where)] for path in found} == {where}
    with pytest.raises(JobFileError) as caught:
        job_from_data(data, "/nowhere")
    assert any(problem.startswith(where) for problem in caught.value.problems)


@pytest.mark.parametrize(
    "section", ["", "inputs.first", "inputs.second.path", "side_inputs.big", "parallel_run_config"]
)
def test_an_unknown_key_is_found_in_its_section(section: str) -> None:
    data = copy.deepcopy(SOUND)
    inner = data
    for name in section.split(".") if section else ():
        inner = inner[name]
    inner["nonsense"] = 1
    assert wrong_keys(data) == [section]


@pytest.mark.parametrize(
    ("section", "key"), [("", "name"), ("inputs.first", "type"), ("parallel_run_config", "entry_script")]
)
def test_a_missing_key_is_found_in_its_section(section: str, key: str) -> None:
    data = copy.deepcopy(SOUND)
    inner = data
    for name in section.split(".") if section else ():
        inner = inner[name]
    del inner[key]
    assert wrong_keys(data) == [section]


def test_a_reference_may_stand_wherever_a_value_may() -> None:
    config = dict.fromkeys(("run_max_try", "device", "grace", "isolate_failures"), "${{ parameters.x }}")
    data = {**SOUND, "parallel_run_config": {"entry_script": "${{ parameters.script }}", **config}}
    assert wrong_keys(data) == []


@pytest.mark.parametrize("section", [Job, Input, SideInput, RunConfig, RowFormat])
def test_every_default_is_one_that_may_be_written(section: type) -> None:
    """A default out of its own bounds would be a setting that cannot be set to what it is."""
    job = job_schema()["$defs"]["job"]
    schemas = {Job: job, RunConfig: job["properties"]["parallel_run_config"]}
    schemas[RowFormat] = schemas[RunConfig]["properties"]["append_row_format"]
    schemas[Input] = job["properties"]["inputs"]["additionalProperties"]
    schemas[SideInput] = job["properties"]["side_inputs"]["additionalProperties"]["anyOf"][-1]
    assert [setting.key for setting in settings_of(section)] == list(schemas[section]["properties"])
    for name, schema in schemas[section]["properties"].items():
        validator = Draft202012Validator({**schema, "$defs": job_schema()["$defs"]})
        assert "default" not in schema or validator.is_valid(schema["default"]), name


PIPELINE: dict[str, Any] = {
    "name": "tested",
    "parameters": {"size": 5, "images": {"type": "files", "path": "data"}, "day": None},
    "reuse": "strict",
    "steps": [
        {"name": "prepare", "script": "a.py", "timeout": 5, "outputs": {"made": {"folder": "x", "dataset": "y"}}},
        {
            "name": "score",
            "inputs": {"images": "${{ parameters.images }}"},
            "run_after": ["prepare"],
            "parallel_run_config": {"entry_script": "score.py"},
        },
    ],
}


def test_a_pipeline_passes() -> None:
    assert wrong_keys(PIPELINE) == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("name", "Bad_Name"),
        ("reuse", "sometimes"),
        ("steps", []),
        ("steps", "one"),
        ("parameters.size", [1]),
        ("steps.0.timeout", -1),
        ("steps.0.outputs.made", 3),
        ("steps.1.run_after", "prepare"),
        ("steps.1.inputs.images", 3),
        ("steps.1.parallel_run_config.run_max_try", 0),
    ],
)
def test_a_wrong_value_of_a_pipeline_is_found_at_its_key(where: str, value: object) -> None:
    data = copy.deepcopy(PIPELINE)
    *sections, key = where.split(".")
    section: Any = data
    for name in sections:
        section = section[int(name) if name.isdecimal() else name]
    section[key] = value
    assert {path[: len(where)] for path in wrong_keys(data)} == {where}


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("key", ["nonsense", "output", "parameters"])
def test_an_unknown_key_of_a_step_is_found(step: int, key: str) -> None:
    data = copy.deepcopy(PIPELINE)
    data["steps"][step][key] = {}
    assert wrong_keys(data) == [f"steps.{step}"]
