"""A sound job file becomes the Job that its author meant."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mpibatch.config.choices import Device, InputType, QuotedNewlines, Stage
from mpibatch.config.load import load_job
from mpibatch.config.schema import Input, Job, RunConfig, SideInput
from mpibatch.config.values import Size, Unit

Load = Callable[..., Job]

EVERYTHING = """\
name: predict-digits
parameters: {batch_size: 10, fast: true}
inputs:
  first:
    type: csv
    path: [data/*.csv, /elsewhere, "s3://bucket/x.csv"]
    has_header: false
    delimiter: ";"
    quote: "'"
    encoding: latin-1
    column_types: {a: int64}
    columns: [a, b]
    quoted_newlines: true
  second: {type: csv, path: {manifest: paths.txt}}
side_inputs:
  model: model.bin
  big: {path: model.bin, stage: node}
arguments:
  [--model, "${{ side_inputs.model }}", "--big=${{ side_inputs.big }}", 0.5, "${{ parameters.fast }}"]
output: results
allow_reuse: false
parallel_run_config:
  source_directory: .
  entry_script: score
  mini_batch_size: "${{ parameters.batch_size }}"
  mini_batch_count: null
  partition_keys: []
  error_threshold: -1
  allowed_failed_count: 3
  allowed_failed_percent: 50
  output_action: append_row
  append_row_file_name: rows.csv
  append_row_format:
    {sep: "\\t", header: false, index: true, float_format: "%.3f", date_format: "%Y", schema: {a: int}}
  node_count: 2
  process_count_per_node: auto
  processes_per_gpu: 2
  coordinator_works: true
  device: gpu
  run_invocation_timeout: 1.5
  load_timeout: 30
  init_timeout: 60
  run_max_try: 1
  isolate_failures: true
  max_mini_batches_per_executor: 100
  grace: 0
  rank_timeout: 20
  logging_level: DEBUG
  environment_variables: {A: x, B: 3}
"""


def test_every_key_arrives(folder: Path) -> None:
    (folder / "job.yaml").write_text(EVERYTHING)
    job = load_job(folder / "job.yaml", ["batch_size=5"])
    first, second = job.inputs
    assert first == Input(
        name="first",
        type=InputType.CSV,
        paths=(f"{folder}/data/*.csv", "/elsewhere", "s3://bucket/x.csv"),
        has_header=False,
        delimiter=";",
        quote="'",
        encoding="latin-1",
        column_types={"a": "int64"},
        columns=("a", "b"),
        quoted_newlines=QuotedNewlines.TRUE,
    )
    assert second == Input(name="second", type=InputType.CSV, manifest=f"{folder}/paths.txt")
    model = f"{folder}/model.bin"
    assert job.side_inputs == (SideInput("model", model), SideInput("big", model, Stage.NODE))
    assert job.arguments == ("--model", model, "--big=${{ side_inputs.big }}", "0.5", "true")
    assert job.output == f"{folder}/results"
    assert job.file == f"{folder}/job.yaml"
    assert job.parameters == {"batch_size": 5, "fast": True}
    assert job.allow_reuse is False
    config = job.config
    assert config.source_directory == str(folder)
    assert config.mini_batch_size == Size(5, Unit.BYTES)
    assert config.process_count_per_node is None
    assert config.coordinator_works is True
    assert config.device is Device.GPU
    assert config.allowed_failed_percent == 50
    assert config.environment_variables == {"A": "x", "B": "3"}
    assert config.append_row_format.schema == {"a": "int"}
    assert config.append_row_format.sep == "\t"
    assert (config.run_invocation_timeout, config.grace, config.run_max_try) == (1.5, 0, 1)


def test_defaults_are_those_of_the_dataclass(load: Load, folder: Path) -> None:
    expected = RunConfig("score.py", str(folder), mini_batch_size=Size(10, Unit.ITEMS))
    assert load().config == expected


def test_sections_with_nothing_but_comments_count_as_empty(load: Load) -> None:
    job = load({"environment_variables": None}, side_inputs=None, arguments=None, parameters=None)
    assert job.arguments == ()


def test_a_job_without_input(load: Load) -> None:
    job = load({"mini_batch_count": 7}, inputs=...)
    assert job.inputs == ()
    assert (job.config.mini_batch_count, job.config.mini_batch_size) == (7, None)


def test_partition_keys_take_the_place_of_a_size(load: Load) -> None:
    config = load({"partition_keys": ["a"]}, inputs={"t": {"type": "csv", "path": "x.csv"}}).config
    assert (config.partition_keys, config.mini_batch_size) == (("a",), None)


def test_tsv_is_tab_separated_unless_told(load: Load) -> None:
    def delimiter(**options: str) -> str:
        return load(inputs={"t": {"type": "csv", "path": "a/*.TSV", **options}}).inputs[0].delimiter

    assert delimiter() == "\t"
    assert delimiter(delimiter=",") == ","


def test_relative_paths_are_relative_to_the_job_file(folder: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load()
    monkeypatch.chdir(folder.parent)
    assert load_job(f"{folder.name}/job.yaml") == expected
    monkeypatch.chdir(folder)
    assert load_job("job.yaml") == expected


def test_the_name_of_the_job_s_folder_is_no_pattern(tmp_path: Path) -> None:
    """A job in `run[1]/` whose inputs are `*.png` must not look into `run1/`."""
    folder = tmp_path / "run[1]"
    folder.mkdir()
    (folder / "score.py").write_text("def run(m): pass")
    (folder / "a[0].png").touch()
    (folder / "job.yaml").write_text(
        "name: abc\ninputs: {a: {type: files, path: ['*.png', data, 'a[0].png']}}\n"
        "parallel_run_config: {entry_script: score.py}\n"
    )
    paths = load_job(folder / "job.yaml").inputs[0].paths
    assert paths == (f"{tmp_path}/run[[]1]/*.png", f"{folder}/data", f"{folder}/a[0].png")


def test_home_folders_are_expanded(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert load(inputs={"a": {"type": "files", "path": "~/data"}}).inputs[0].paths == ("/home/someone/data",)


def test_nothing_is_written_by_loading(folder: Path, load: Load) -> None:
    """Not even byte code of the entry script."""
    load()
    assert sorted(os.listdir(folder)) == ["job.yaml", "model.bin", "score.py"]
