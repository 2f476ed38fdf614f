"""v2 pipelines as pipelines of ours: every way in which they say a thing, and what is said of the rest."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mpibatch.errors import UsageError
from mpibatch.importing.load import import_file
from mpibatch.importing.notes import Imported

PIPELINE = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
display_name: Score_All
settings: {default_compute: azureml:cpu, continue_on_step_failure: false}
inputs:
  images: {type: uri_folder, path: ./data, mode: ro_mount}
  level: 3
  nothing: {type: string, optional: true}
jobs:
  Prepare_Data:
    type: command
    code: ./src
    command: >-
      python prepare.py --level ${{inputs.level}} $[[--extra ${{inputs.nothing}}]] --out ${{outputs.made}}
    inputs: {level: "${{parent.inputs.level}}", nothing: "${{parent.inputs.nothing}}"}
    outputs: {made: {type: uri_folder}}
    environment: azureml:env:1
  score:
    type: parallel
    component: ./score/component.yml
    inputs:
      images: ${{parent.jobs.Prepare_Data.outputs.made}}
      model: {type: custom_model, path: "azureml:digits:3"}
      labels: {type: uri_file, path: data/labels.txt}
    mini_batch_size: "2"
    resources: {instance_count: 2, shm_size: 2g}
  inline:
    type: parallel
    inputs: {images: "${{parent.inputs.images}}"}
    outputs: {rows: {type: uri_file, path: "azureml://datastores/d/paths/x/rows.csv"}}
    input_data: ${{inputs.images}}
    retry_settings: {max_retries: 0, timeout: 5}
    task:
      type: run_function
      code: src
      entry_script: score.py
      program_arguments: --error_threshold 5 --allowed_failed_percent=10 --task_overhead_timeout 9 --a "b c"
      append_row_to: ${{outputs.rows}}
  report:
    type: command
    code: src
    command: python report.py ${{inputs.rows}} ${{inputs.folder}}
    inputs:
      rows: ${{parent.jobs.inline.outputs.rows}}
      folder: ${{parent.inputs.images}}
"""
COMPONENT = """
name: score
version: 1
type: parallel
inputs:
  images: {type: uri_folder}
  model: {type: custom_model}
  labels: {type: uri_file}
  factor: {type: number, default: 0.5}
outputs: {rows: {type: uri_file}}
mini_batch_error_threshold: 1
logging_level: "DEBUG"
input_data: ${{inputs.images}}
max_concurrency_per_instance: 4
retry_settings: {max_retries: 3}
task:
  type: run_function
  code: .
  entry_script: score.py
  program_arguments: --model ${{inputs.model}} --labels ${{inputs.labels}} --factor ${{inputs.factor}}
  environment: {image: x}
"""


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "component.yml").write_text(COMPONENT)
    (tmp_path / "job.yml").write_text(PIPELINE)
    return import_file(tmp_path / "job.yml")


def steps(made: Imported) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in made.data["steps"]}


def test_the_pipeline(imported: Imported, tmp_path: Path) -> None:
    """Name, parameters, and the names of its steps."""
    assert imported.data["name"] == "score-all"
    assert imported.data["parameters"] == {"images": {"type": "files", "path": str(tmp_path / "data")}, "level": 3}
    assert list(steps(imported)) == ["prepare-data", "score", "inline", "report"]
    assert imported.data["continue_on_step_failure"] is False


def test_a_command_is_a_script_step(imported: Imported, tmp_path: Path) -> None:
    """Its words; what is optional and has no value is not there."""
    assert steps(imported)["prepare-data"] == {
        "name": "prepare-data",
        "script": "prepare.py",
        "source_directory": str(tmp_path / "src"),
        "arguments": ["--level", "${{ parameters.level }}", "--out", "${{ steps.prepare-data.output }}"],
    }


def test_a_component_under_the_node(imported: Imported, tmp_path: Path) -> None:
    """The node's own keys go first; retries are counted as tries; defaults are v2's."""
    step = steps(imported)["score"]
    assert step["inputs"] == {"images": {"type": "files", "path": "${{ steps.prepare-data.output }}"}}
    assert step["side_inputs"] == {
        "model": {"model": "digits:3"},
        "labels": {"path": str(tmp_path / "data/labels.txt")},
    }
    assert step["arguments"] == [
        *("--model", "${{ side_inputs.model }}", "--labels", "${{ side_inputs.labels }}", "--factor", "0.5")
    ]
    assert step["parallel_run_config"] == {
        "source_directory": str(tmp_path / "score"),
        "entry_script": "score.py",
        "error_threshold": -1,
        "allowed_failed_count": 1,
        "run_max_try": 4,
        "run_invocation_timeout": 60,
        "node_count": 2,
        "process_count_per_node": 4,
        "output_action": "summary_only",
        "logging_level": "DEBUG",
        "mini_batch_size": 2,
    }


def test_settings_among_the_arguments(imported: Imported) -> None:
    """Those of the runner become settings, the script keeps its own; the rows have the name they had."""
    step = steps(imported)["inline"]
    config = step["parallel_run_config"]
    assert (config["error_threshold"], config["allowed_failed_percent"], config["run_max_try"]) == (5, 10, 1)
    assert (config["output_action"], config["append_row_file_name"]) == ("append_row", "rows.csv")
    assert step["arguments"] == ["--a", "b c"]
    assert step["inputs"] == {"images": "${{ parameters.images }}"}


def test_outputs_and_data_as_arguments(imported: Imported, tmp_path: Path) -> None:
    """A file output is the file; a folder that nobody partitions is a side input."""
    step = steps(imported)["report"]
    assert step["arguments"] == ["${{ steps.inline.output }}/rows.csv", "${{ side_inputs.folder }}"]
    assert step["side_inputs"] == {"folder": {"path": str(tmp_path / "data")}}


def test_what_has_no_counterpart_is_listed(imported: Imported) -> None:
    """A line each."""
    assert sorted(imported.notes) == [
        "jobs.Prepare_Data: environment has no counterpart",
        "jobs.inline: --task_overhead_timeout 9 has no counterpart",
        "jobs.score.inputs.model: the model digits:3 must be in the workspace: mpibatch models register digits PATH",
        "jobs.score.resources: shm_size has no counterpart",
        "jobs.score.task: environment has no counterpart",
        "settings: default_compute has no counterpart",
    ]


MLTABLE = """
type: mltable
paths: [{pattern: ./*.csv}, {file: ./more/x.csv}]
transformations:
  - read_delimited: {delimiter: ";", encoding: utf8, header: all_files_same_headers, include_path_column: true}
  - keep_columns: [a, b]
  - extract_columns_from_partition_format: {partition_format: "{day}.csv"}
  - filter: "col('a') > 1"
"""


def one(tmp_path: Path, table: str, **node: Any) -> Imported:
    """A job of one step over a table."""
    (tmp_path / "table").mkdir(exist_ok=True)
    (tmp_path / "table" / "MLTable").write_text(table)
    job: dict[str, Any] = {
        "type": "parallel",
        "inputs": {"t": {"type": "mltable", "path": "./table"}},
        "input_data": "${{inputs.t}}",
        "task": {"type": "run_function", "code": ".", "entry_script": "score.py"},
        **node,
    }
    (tmp_path / "one.yml").write_text(yaml.safe_dump(job))
    return import_file(tmp_path / "one.yml")


def test_a_table_of_delimited_files(tmp_path: Path) -> None:
    """How it is read is told by the input; the rest is listed."""
    (tmp_path / "table" / "more").mkdir(parents=True)
    (tmp_path / "table" / "more" / "x.csv").touch()
    made = one(tmp_path, MLTABLE, mini_batch_size="10mb")
    step = made.data["steps"][0]
    folder = tmp_path / "table"
    assert step["inputs"]["t"] == {
        "type": "csv",
        "delimiter": ";",
        "encoding": "utf-8",
        "columns": ["a", "b"],
        "path_column": "Path",
        "path": [f"{folder}/{{day}}.csv", f"{folder}/more/{{day}}.csv"],
    }
    assert step["parallel_run_config"]["mini_batch_size"] == "10MB"
    assert made.notes == ["jobs.one.inputs.t: filter has no counterpart"]


@pytest.mark.parametrize(("operation", "kind"), [("read_parquet", "parquet"), ("read_json_lines", "jsonl")])
def test_other_tables(tmp_path: Path, operation: str, kind: str) -> None:
    """With and without options."""
    made = one(tmp_path, f"paths: [{{folder: .}}]\ntransformations: [{operation}]\n")
    assert made.data["steps"][0]["inputs"]["t"] == {"type": kind, "path": str(tmp_path / "table")}


def test_a_table_that_an_earlier_step_writes(tmp_path: Path) -> None:
    """It is read when its step begins; where either end says that it is one."""
    write: dict[str, Any] = {"type": "command", "code": ".", "command": "python write.py ${{outputs.made}}"}
    read: dict[str, Any] = {
        "type": "parallel",
        "inputs": {"t": "${{parent.jobs.write.outputs.made}}"},
        "input_data": "${{inputs.t}}",
        "task": {"type": "run_function", "code": ".", "entry_script": "score.py"},
    }
    both = {"type": "mltable", "path": "${{parent.jobs.write.outputs.made}}"}
    for written, given in (({"type": "mltable"}, read["inputs"]["t"]), ({"type": "uri_folder"}, both)):
        jobs = {"write": {**write, "outputs": {"made": written}}, "read": {**read, "inputs": {"t": given}}}
        (tmp_path / "job.yml").write_text(yaml.safe_dump({"type": "pipeline", "jobs": jobs}))
        step = steps(import_file(tmp_path / "job.yml"))["read"]
        assert step["inputs"] == {"t": {"type": "mltable", "path": "${{ steps.write.output }}"}}


def test_files_by_the_keys_in_their_paths(tmp_path: Path) -> None:
    """partition_keys of v2, over a table without a reader."""
    operation = "extract_columns_from_partition_format: {partition_format: '{u}/{g}.wav'}"
    table = f"paths: [{{pattern: ./**}}]\ntransformations:\n- {operation}"
    made = one(tmp_path, table, partition_keys=["u"])
    step = made.data["steps"][0]
    assert step["inputs"]["t"] == {"type": "files", "path": f"{tmp_path}/table/{{u}}/{{g}}.wav"}
    assert step["parallel_run_config"]["partition_keys"] == ["u"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "sweep"}, "is no job file of Azure|is of type sweep"),
        ({"input_data": "${{inputs.none}}"}, "must be one of its inputs"),
        ({"inputs": {"t": {"type": "mltable", "path": "./none"}}}, "no file MLTable in"),
        ({"inputs": {"t": "${{parent.inputs.none}}"}}, "leads nowhere"),
        ({"inputs": {"t": {"type": "uri_file", "path": "azureml:none:1"}}}, "azureml:none:1: there is no dataset"),
        ({"component": "azureml:c:1"}, "is in a registry"),
    ],
)
def test_what_cannot_be_taken_over_ends_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    """In one sentence that says where."""
    monkeypatch.setenv("MPIBATCH_HOME", str(tmp_path / "home"))
    with pytest.raises(UsageError, match=words):
        one(tmp_path, "paths: [{folder: .}]", **change)


@pytest.mark.parametrize("command", ["bash run.sh", "python -m module", "python", "python 'x.py"])
def test_commands_that_are_no_script(tmp_path: Path, command: str) -> None:
    """Nothing is handed to a shell."""
    job = {"type": "command", "code": ".", "command": command}
    (tmp_path / "job.yml").write_text(yaml.safe_dump(job))
    with pytest.raises(UsageError, match=r"a script step runs `python SCRIPT\.py|cannot be split"):
        import_file(tmp_path / "job.yml")


def test_the_command(tmp_path: Path, imported: Imported) -> None:
    """YAML on stdout or in a new file, notes on stderr, nothing overwritten."""

    def mpibatch(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "mpibatch", "import", *words]
        return subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)

    shown = mpibatch("job.yml")
    assert yaml.safe_load(shown.stdout) == imported.data
    assert shown.stderr.count("\n") == len(imported.notes)
    assert mpibatch("job.yml", "-o", "ours.yaml").returncode == 0
    assert yaml.safe_load((tmp_path / "ours.yaml").read_text()) == imported.data
    again = mpibatch("job.yml", "-o", "ours.yaml")
    assert (again.returncode, "there already" in again.stderr) == (2, True)
