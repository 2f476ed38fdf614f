"""An MLTable as an input: every way to say how its files are read; what an input cannot do is a problem."""

from pathlib import Path
from typing import Any

import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.load import input_from_data, job_from_data
from mpibatch.config.mltable import read_mltable
from mpibatch.config.pipeline import begin_step, pipeline_from_data
from mpibatch.config.schema import Input, Job
from mpibatch.errors import JobFileError, UsageError

TABLE = """
type: mltable
paths: [{pattern: ./*.csv}, {file: ./more/x.csv}]
transformations:
  - read_delimited: {delimiter: ";", encoding: utf8, header: all_files_same_headers, include_path_column: true}
  - keep_columns: [a, b, c]
  - drop_columns: c
  - convert_column_types: [{columns: [a], column_type: string}, {columns: b, column_type: {datetime: {formats: []}}}]
  - extract_columns_from_partition_format: {partition_format: "{day}.csv"}
"""


def write(folder: Path, text: str) -> str:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "MLTable").write_text(text)
    return str(folder)


def test_all_of_it_is_an_input(tmp_path: Path) -> None:
    folder = write(tmp_path / "table", TABLE)
    (tmp_path / "table" / "more").mkdir()
    (tmp_path / "table" / "more" / "x.csv").touch()
    table = read_mltable(folder)
    assert table.left_out == []
    assert table.entry == {
        "type": "csv",
        "delimiter": ";",
        "encoding": "utf-8",
        "path_column": "Path",
        "columns": ["a", "b", "c"],
        "drop_columns": ["c"],
        "column_types": {"a": "string", "b": "timestamp"},
        "path": [f"{folder}/{{day}}.csv", f"{folder}/more/{{day}}.csv"],
    }
    read = input_from_data("t", {"type": "mltable", "path": folder})
    assert (read.type, read.delimiter, read.drop_columns) == (InputType.CSV, ";", ("c",))


def job(folder: Path, entry: dict[str, Any]) -> Job:
    (folder / "score.py").write_text("def run(mini_batch):\n    return mini_batch\n")
    config = {"entry_script": "score.py", "mini_batch_size": "1KB"}
    return job_from_data({"name": "tested", "inputs": {"t": entry}, "parallel_run_config": config}, folder)


def test_a_job_file_names_its_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "table", "paths: [{folder: .}]\ntransformations: [read_parquet]\n")
    assert job(tmp_path, {"type": "mltable", "path": "table"}).inputs == (
        Input(name="t", type=InputType.PARQUET, paths=(folder,)),
    )


@pytest.mark.parametrize(
    ("table", "entry", "said"),
    [
        (None, {}, "inputs.t.path is \"table\", but there is no file MLTable in"),
        ("paths: []", {}, "names no paths"),
        ("paths: [x]", {}, "a path is file, folder or pattern, not 'x'"),
        ("a: [", {}, "inputs.t is an MLTable that cannot be read"),
        ("paths: [{folder: .}]\ntransformations: [{filter: x > 1}]", {}, "with filter, which an input cannot do"),
        ("paths: [{folder: .}]\ntransformations: [{read_delimited: {skip: 1}}]", {}, "with read_delimited: skip"),
        ("paths: [{folder: .}]", {"columns": ["a"]}, "columns does not belong to an input of type mltable"),
        ("paths: [{folder: .}]", {"path": ["table"]}, "path is a list of 1; it must be the folder of a file MLTable"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_problem(tmp_path: Path, table: str | None, entry: dict[str, Any], said: str) -> None:
    if table is not None:
        write(tmp_path / "table", table)
    with pytest.raises(JobFileError) as raised:
        job(tmp_path, {"type": "mltable", "path": "table", **entry})
    assert said in str(raised.value)


def test_one_at_a_url_is_refused() -> None:
    with pytest.raises(UsageError, match="is at a URL; copy its file MLTable"):
        read_mltable("s3://bucket/table")


def test_one_that_an_earlier_step_writes_is_read_when_its_step_begins(tmp_path: Path) -> None:
    (tmp_path / "prepare.py").touch()
    (tmp_path / "score.py").write_text("def run(mini_batch):\n    return mini_batch\n")
    step = {
        "name": "score",
        "inputs": {"t": {"type": "mltable", "path": "${{ steps.prepare.output }}/table"}},
        "parallel_run_config": {"entry_script": "score.py", "mini_batch_size": "4KB"},
    }
    steps = [{"name": "prepare", "script": "prepare.py"}, step]
    pipeline = pipeline_from_data({"name": "tested", "steps": steps}, tmp_path)
    outputs = {"prepare": str(tmp_path / "out"), "score": "/nowhere"}
    with pytest.raises(JobFileError, match="there is no file MLTable in"):
        begin_step(pipeline, pipeline.steps[1], outputs)
    folder = write(tmp_path / "out" / "table", "paths: [{file: x.csv}]\ntransformations: [read_delimited]\n")
    begun = begin_step(pipeline, pipeline.steps[1], outputs)
    assert isinstance(begun, Job)
    assert (begun.inputs[0].type, begun.inputs[0].paths) == (InputType.CSV, (f"{folder}/x.csv",))
