"""Every command as a user meets it: exit statuses, and what it says."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from mpibatch.cli import main
from mpibatch.cluster.environment import without_launcher_variables
from mpibatch.errors import AbortError, ExitStatus

ROOT = Path(__file__).parents[2]

SCRIPT = """\
import os, sys

def init():
    print("init", *sys.argv[1:])

def run(mini_batch):
    return [f"{os.path.basename(path)} {os.path.getsize(path)}" for path in mini_batch]
"""
JOB = """\
name: sizes
parameters: {batch_size: 2}
inputs:
  texts: {type: files, path: "data/*.txt"}
arguments: [--level, 3]
parallel_run_config:
  entry_script: score.py
  mini_batch_size: "${{ parameters.batch_size }}"
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job of five files in three mini-batches."""
    (tmp_path / "data").mkdir()
    for number in range(5):
        (tmp_path / "data" / f"{number}.txt").write_text("x" * number)
    (tmp_path / "score.py").write_text(SCRIPT)
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


def mpibatch(*arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    """One command in a process of its own, started plainly whatever these tests were started by."""
    environment = {**without_launcher_variables(os.environ), "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, "-m", "mpibatch", *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def refused(answer: "subprocess.CompletedProcess[str]", *words: str) -> None:
    """Exit status 2, and in words."""
    assert answer.returncode == ExitStatus.USAGE, answer
    assert "Traceback" not in answer.stderr + answer.stdout
    for word in words:
        assert word in answer.stderr, answer.stderr


def test_help_names_every_command_within_a_fifth_of_a_second() -> None:
    def asked() -> float:
        """Seconds of a core: other processes may want this one too."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = mpibatch("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        for command in ("run", "resume", "validate", "debug", "doctor", "init"):
            assert f"\n  {command} " in answer.stdout
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(asked() for _ in range(5)) < 0.2


def test_help_imports_nothing_heavy() -> None:
    listing = mpibatch("--help", PYTHONPROFILEIMPORTTIME="1").stderr
    for package in ("numpy", "pandas", "pyarrow", "pydantic", "yaml", "mpi4py", "mpibatch.config.schema"):
        assert f" {package}\n" not in listing


def test_version() -> None:
    answer = mpibatch("--version")
    assert (answer.returncode, answer.stdout.split()[0]) == (0, "mpibatch,")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["run", "job.yaml", "-n", "0"],
        ["run", "job.yaml", "-n", "two"],
        ["run", "job.yaml", "--bogus"],
        ["validate"],
        ["debug", "job.yaml"],
        ["debug", "job.yaml", "--mini-batch", "-1"],
        ["init"],
        ["doctor", "extra"],
    ],
)
def test_bad_usage(arguments: list[str]) -> None:
    refused(mpibatch(*arguments), "Usage:", "Error:")


# -- run


def output_of(run_dir: Path) -> str:
    return (run_dir / "outputs" / "parallel_run_step.txt").read_text()


@pytest.mark.processes
def test_run(job: Path, tmp_path: Path) -> None:
    answer = mpibatch("run", job, "-n", 2, "--run-dir", tmp_path / "out")
    assert answer.returncode == 0, answer.stderr
    assert output_of(tmp_path / "out") == "".join(f"{number}.txt {number}\n" for number in range(5))
    assert str(tmp_path / "out" / "outputs" / "parallel_run_step.txt") in answer.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["status"], summary["ranks"]) == ("completed", 2)


@pytest.mark.ci
@pytest.mark.processes
def test_a_resume_refuses_what_the_job_file_refuses(job: Path, tmp_path: Path) -> None:
    """And the run can still be resumed with what it had."""
    assert mpibatch("run", job, "-n", "1", "--run-dir", tmp_path / "out").returncode == 0
    recorded = (tmp_path / "out" / "run.json").read_bytes()
    for text in ("run_max_try=0", "rank_timeout=0", "logging_level=foo", "process_count_per_node=0"):
        refused(mpibatch("resume", tmp_path / "out", "--set", text), "it must be")
    assert (tmp_path / "out" / "run.json").read_bytes() == recorded
    answer = mpibatch("resume", (tmp_path / "out").rename(tmp_path / "moved"), "-n", "1", "--set", "run_max_try=5")
    assert answer.returncode == 0, answer.stderr
    assert "nothing left to do" in answer.stdout
    assert json.loads((tmp_path / "moved" / "run.json").read_text())["job"]["config"]["run_max_try"] == 5


@pytest.mark.ci
@pytest.mark.processes
def test_a_job_of_files_imports_no_pandas(job: Path) -> None:
    answer = mpibatch("run", job, "-n", "1", PYTHONPROFILEIMPORTTIME="1")
    assert answer.returncode == 0
    assert " pyarrow\n" in answer.stderr
    assert " pandas\n" not in answer.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["validate"],
        pytest.param(["run", "-n", "2"], marks=pytest.mark.ci),
        pytest.param(["run", "-n", "1"], marks=pytest.mark.ci),
        pytest.param(["debug", "--mini-batch", "0"], marks=pytest.mark.ci),
    ],
)
def test_every_command_refuses_a_bad_job_alike(job: Path, command: list[str]) -> None:
    refused(mpibatch(*command, job.parent / "none.yaml"), "there is no such file", "job.yaml")
    refused(mpibatch(*command, job, "--set", "bath_size=3"), "bath_size", "did you mean batch_size?")
    job.write_text(JOB.replace("data/*.txt", "nowhere/*.txt"))
    refused(mpibatch(*command, job), "nothing matches")
    job.write_text(JOB.replace("entry_script:", "entry_scrip:"))
    refused(mpibatch(*command, job), "entry_scrip")
    job.write_text(JOB + "  mini_batch_count: 5\n")
    refused(mpibatch(*command, job), "mini_batch_count")


@pytest.mark.ci
@pytest.mark.processes
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_outlives_whoever_reads_its_output(job: Path, tmp_path: Path, ranks: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "mpibatch", "run", str(job), "-n", str(ranks), "--run-dir", str(tmp_path / "out")]
    environment = {**without_launcher_variables(os.environ), "PYTHONPATH": str(ROOT)}
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run(
            command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert len(output_of(tmp_path / "out").splitlines()) == 5


@pytest.mark.ci
@pytest.mark.processes
@pytest.mark.processes
def test_a_run_without_standard_streams(job: Path, tmp_path: Path) -> None:
    """As a daemon that has closed them starts it: `NoneType` has no attribute `isatty`."""
    line = f"exec <&- >&- 2>&-; exec {sys.executable} -m mpibatch run {job} -n 2 --run-dir {tmp_path / 'run'}"
    assert subprocess.run(["bash", "-c", line], check=False).returncode == 0
    assert (tmp_path / "run" / "outputs" / "parallel_run_step.txt").stat().st_size > 0


@pytest.mark.ci
def test_a_failing_init_aborts_a_run(job: Path) -> None:
    (job.parent / "score.py").write_text("def init():\n    raise ValueError('no model')\ndef run(mini_batch): ...\n")
    answer = mpibatch("run", job, "-n", "1")
    assert answer.returncode == ExitStatus.ABORTED
    assert "ValueError: no model" in answer.stdout + answer.stderr


@pytest.mark.processes
def test_an_output_that_cannot_be_made(job: Path) -> None:
    (job.parent / "file").write_text("")
    answer = mpibatch("run", job, "-n", "1", "--output", job.parent / "file" / "below")
    assert answer.returncode == ExitStatus.ERROR
    assert "cannot make the run directory" in answer.stderr
    assert "Traceback" not in answer.stderr


# -- validate, debug, doctor, init


def test_validate_prints_the_shape_of_the_plan(job: Path) -> None:
    answer = mpibatch("validate", job, "--set", "batch_size=3")
    assert answer.returncode == 0, answer.stderr
    assert "5 items in 2 mini-batches of 2 to 3" in answer.stdout
    assert not (job.parent / "runs").exists()


@pytest.mark.processes
def test_debug_prints_rows_on_stdout_and_remarks_on_stderr(job: Path) -> None:
    answer = mpibatch("debug", job, "--mini-batch", 1)
    assert (answer.returncode, answer.stdout) == (0, "init --level 3\n2.txt 2\n3.txt 3\n")
    assert "2 rows for 2 items" in answer.stderr
    refused(mpibatch("debug", job, "--mini-batch", 3), "there are 3, from 0 to 2")


@pytest.mark.processes
def test_doctor_finds_what_a_run_of_two_needs() -> None:
    answer = mpibatch("doctor", "--try")
    assert answer.returncode == 0, answer.stdout
    assert "rank 0 of 2" in answer.stdout
    assert "rank 1 of 2" in answer.stdout


def test_schema_is_printed() -> None:
    answer = mpibatch("schema")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["$defs"]["job"]["properties"]["parallel_run_config"]["required"] == [
        "entry_script"
    ]


@pytest.mark.ci
@pytest.mark.processes
def test_init_writes_a_job_that_runs(tmp_path: Path) -> None:
    folder = tmp_path / "my-job"
    assert mpibatch("init", folder).returncode == 0
    answer = mpibatch("run", folder / "job.yaml", "-n", "1")
    assert answer.returncode == 0, answer.stderr
    refused(mpibatch("init", folder), "exists and is not empty")
    refused(mpibatch("init", tmp_path / "My Job"), "is no name for a job")


# -- what went wrong, in words


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def test_statuses_of_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.status_of(raising(AbortError("too many failed"))) == ExitStatus.ABORTED
    assert capsys.readouterr().err == "mpibatch: too many failed\n"
    assert main.status_of(raising(click.UsageError("no"))) == ExitStatus.USAGE
    assert main.status_of(raising(click.exceptions.Abort())) == ExitStatus.INTERRUPTED


def test_an_unexpected_error_is_one_line_and_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(main.DEBUG, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main.status_of(raising(KeyError("slot"))) == ExitStatus.ERROR
    said = capsys.readouterr().err
    (file,) = tmp_path.iterdir()
    assert said == (
        f"mpibatch: unexpected KeyError: 'slot'. Its traceback is in {file}; MPIBATCH_DEBUG=1 shows it here.\n"
    )
    assert file.read_text().endswith("KeyError: 'slot'\n")

    monkeypatch.setenv(main.DEBUG, "1")
    with pytest.raises(KeyError):
        main.status_of(raising(KeyError("slot")))
