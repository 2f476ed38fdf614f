"""What a resume may change: only what changes no row, and only to what the job file could have."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mpibatch.config.choices import Device
from mpibatch.config.load import load_job
from mpibatch.config.schema import Job
from mpibatch.errors import RunDirectoryError, UsageError
from mpibatch.runs.clean import clean
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.resume import ResumeOptions, create_or_resume, create_run, merge_settings, nothing_to_do, override
from mpibatch.runs.run_record import RankRecord, RunRecord, add_ranks, read_job
from tests.runs.records import ended_run


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "score.py").write_text("def run(mini_batch): return mini_batch\n")
    (tmp_path / "job.yaml").write_text(
        "name: sizes\ninputs: {texts: {type: files, path: '*.txt'}}\nparallel_run_config: {entry_script: score.py}\n"
    )
    return load_job(tmp_path / "job.yaml")


@pytest.fixture
def run(job: Job, tmp_path: Path) -> RunDirectory:
    return create_run(job, tmp_path / "run", ["mpibatch", "run"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run_max_try=0", 'run_max_try is "0"; it must be a whole number from 1 to 255'),
        ("run_max_try=-1", "a whole number from 1 to 255"),
        ("run_max_try=300", "a whole number from 1 to 255"),
        ("run_max_try=3.0", "a whole number from 1 to 255"),
        ("run_max_try=", "a whole number from 1 to 255"),
        ("rank_timeout=0", "a number of seconds above 0"),
        ("rank_timeout=inf", "a number of seconds above 0"),
        ("load_timeout=nan", "a number of seconds above 0"),
        ("grace=-1", "a number of seconds from 0"),
        ("logging_level=foo", 'logging_level is "foo"; it must be WARNING, INFO or DEBUG'),
        ("device=tpu", "auto, cpu or gpu"),
        ("max_mini_batches_per_executor=-1", "a whole number, 1 or more, or 0 for never"),
        ("process_count_per_node=0", 'a whole number from 1 to 100000, or "auto"'),
        ("allowed_failed_percent=500", "a number from 0 to 100"),
        ("error_threshold=-2", "a whole number, 0 or more, or -1 to tolerate all"),
        ("isolate_failures=on", "true or false"),
        ("coordinator_works=1", 'true or false, or "auto"'),
        ("run_max_try", "write --set NAME=VALUE"),
        ("run_max_tri=1", "Did you mean run_max_try?"),
        ("mini_batch_size=2", "a resume can change only"),
        ("\x1b[31m=1", "\\x1b[31m"),
    ],
)
def test_a_resume_refuses_what_the_job_file_refuses(run: RunDirectory, text: str, message: str) -> None:
    """In the same words, and nothing is written, also not of what is sound beside it."""
    before = run.run_json.read_bytes()
    with pytest.raises(UsageError) as caught:
        override(run, ["grace=7", text])
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert run.run_json.read_bytes() == before


def test_a_resume_takes_what_the_job_file_takes(run: RunDirectory) -> None:
    sets = ["run_max_try=255", "grace=0", "rank_timeout=1e3", "logging_level=DEBUG", "device=cpu"]
    sets += ["process_count_per_node=auto", "coordinator_works=TRUE", "error_threshold=-1", "isolate_failures=true"]
    config = override(run, sets).config
    assert (config.run_max_try, config.grace, config.rank_timeout, config.logging_level) == (255, 0, 1000, "DEBUG")
    assert config.device is Device.CPU
    assert config.process_count_per_node is None
    assert (config.coordinator_works, config.error_threshold, config.isolate_failures) == (True, -1, True)
    assert read_job(run).config == config


def test_a_run_is_resumed_with_settings_that_change_no_row(run: RunDirectory, job: Job) -> None:
    more = replace(job, config=replace(job.config, run_max_try=9))
    assert create_or_resume(more, run.path) == (more, run)
    assert read_job(run) == more
    with pytest.raises(UsageError, match=r"begun with other settings \(entry_script\)"):
        merge_settings(run, replace(job, config=replace(job.config, entry_script="other.py")))


def test_the_record_is_read_as_it_was_written(run: RunDirectory, job: Job) -> None:
    ranks = [RankRecord("here", 0, None, "no place"), RankRecord("there", 1, None, "")]
    add_ranks(run, ranks, "Open MPI 5")
    record = RunRecord.read(run)
    assert (record.job, record.mpi, record.ranks) == (job, "Open MPI 5", tuple(ranks))
    assert record.command == ("mpibatch", "run")
    assert {"python", "mpibatch"} <= record.versions.keys()


@pytest.mark.parametrize("text", ["{}", '{"job": 3}', '{"job": {"name": 3, "from": "the future"}}', "[]", "{"])
def test_a_record_that_cannot_be_read(run: RunDirectory, text: str) -> None:
    recorded = RunRecord.read(run)
    run.run_json.write_text(text)
    assert RunRecord.read(run) == recorded, "the copy is read"
    run.run_json_copy.write_text(text)
    with pytest.raises(RunDirectoryError, match=r"run\.json"):
        RunRecord.read(run)


def test_what_is_left_to_do(run: RunDirectory) -> None:
    assert nothing_to_do(run, ResumeOptions()) == ""
    ended_run("stopped").write(run)
    assert nothing_to_do(run, ResumeOptions()) == ""
    ended_run("completed").write(run)
    assert "nothing left to do" in nothing_to_do(run, ResumeOptions())
    assert "nothing has failed" in nothing_to_do(run, ResumeOptions(retry_failed=True))


def test_a_run_that_was_moved_is_still_complete(run: RunDirectory, tmp_path: Path) -> None:
    """Its output is beside its summary, wherever both are."""
    (run.outputs / "rows.txt").write_text("row\n")
    ended_run("completed", output="outputs/rows.txt").write(run)
    moved = RunDirectory(run.path.rename(tmp_path / "elsewhere"))
    assert "nothing left to do" in nothing_to_do(moved, ResumeOptions())
    (moved.outputs / "rows.txt").unlink()
    with pytest.raises(UsageError, match=f"its output {moved.path}/outputs/rows.txt is no longer there"):
        nothing_to_do(moved, ResumeOptions())
    (moved.path / "results.1.log").touch()
    assert nothing_to_do(moved, ResumeOptions()) == "", "it is made again from the log"
    assert json.loads(moved.summary.read_text())["output"] == "outputs/rows.txt"


def test_of_two_runs_begun_at_once_in_one_directory_one_resumes_the_other(job: Job, tmp_path: Path) -> None:
    """run.json is made exclusively: the second process finds the first's job, and is refused with another."""
    record = RunRecord.new(job, [])
    directory = create_at(tmp_path / "run")
    assert record.create(directory)
    assert not RunRecord.new(replace(job, name="another"), []).create(directory)
    assert read_job(directory) == job


def test_values_of_environment_variables_are_for_their_owner_alone(job: Job, tmp_path: Path) -> None:
    """run.json can be read by all who can read the folder, and a token stood in it."""
    config = replace(job.config, environment_variables={"TOKEN": "secret", "OTHER": "x"})
    (tmp_path / "r").mkdir()
    directory = RunDirectory(tmp_path / "r")
    record = RunRecord.new(replace(job, config=config), [])
    assert record.create(directory)
    for path in (directory.run_json, directory.run_json_copy):
        assert "secret" not in path.read_text()
        assert json.loads(path.read_text())["job"]["config"]["environment_variables"] == ["OTHER", "TOKEN"]
    (values,) = directory.path.glob(".environment.*")
    assert values.stat().st_mode & 0o777 == 0o600
    assert read_job(directory).config == config
    assert not RunRecord.new(job, []).create(directory), "one that comes second"
    assert read_job(directory).config == config
    clean(directory)
    assert read_job(directory).config == config
