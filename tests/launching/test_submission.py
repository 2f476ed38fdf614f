"""From a job file and options to what is submitted."""

from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from mpibatch.config.load import load_job
from mpibatch.errors import ExitStatus, JobFileError, UsageError
from mpibatch.launching.batch_script import Submission, options
from mpibatch.launching.submission import build_submission, submit
from mpibatch.runs.resume import create_run
from tests.runs.records import ended_run

JOB = """\
name: sizes
inputs: {texts: {type: files, path: "*.txt"}}
parallel_run_config:
  entry_script: score.py
  node_count: 2
  process_count_per_node: 3
"""


class Slurm:
    """Takes every job as number 7 and then says that it is `state`."""

    def __init__(self, state: str = "RUNNING", reason: str = "None") -> None:
        self.state, self.reason = state, reason
        self.asked: list[str] = []

    def __call__(self, command: list[str]) -> "CompletedProcess[str]":
        self.asked.append(command[0])
        shown = f"JobState={self.state} Reason={self.reason} ExitCode=0:0"
        return CompletedProcess(command, 0, "7\n" if command[0] == "sbatch" else shown, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").touch()
    (tmp_path / "score.py").write_text("def run(mini_batch): return mini_batch\n")
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path


def built(folder: Path, more: str = "", run_dir: Path | None = None, **options: Any) -> Submission:
    (folder / "job.yaml").write_text(JOB + more)
    return build_submission(load_job(folder / "job.yaml"), (), run_dir, options)


def test_the_job_file_gives_what_the_command_line_does_not(folder: Path) -> None:
    asked = built(folder, nodes=None, time="10", extra=(), prefix="env 'A=b c'")
    assert (asked.name, asked.nodes, asked.tasks_per_node, asked.time) == ("sizes", 2, 3, "10")
    assert asked.prefix == ("env", "A=b c")
    assert Path(asked.run_dir).parent == folder / "runs"
    assert not (folder / "runs").exists()  # a draft leaves no trace
    assert built(folder, nodes=5).nodes == 5


def test_grace_moves_the_signal(folder: Path) -> None:
    """Running mini-batches must have their grace, and the disk some time, before Slurm kills."""
    assert built(folder).notice == 120
    assert built(folder, "  grace: 300\n").notice == 360


def test_a_job_that_could_not_run_is_not_submitted(folder: Path) -> None:
    """Not only its file is looked at: a job in the queue for hours that then finds no input has cost a day."""
    (folder / "a.txt").unlink()
    with pytest.raises(JobFileError, match=r"\*\.txt"):
        built(folder)


def test_ranks_that_outnumber_gpus(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"3 executors on each node for 2 GPUs.*to 2 or to auto"):
        built(folder, gpus="a100:2")
    assert built(folder, "  processes_per_gpu: 2\n", gpus="2").tasks_per_node == 3
    assert built(folder, "  device: cpu\n", gpus="2").tasks_per_node == 3


def test_slurm_is_asked_for_what_executors_own(folder: Path) -> None:
    """GPUs and CPUs that the job file speaks of need not be said again on the command line."""
    asked = built(folder, "  gpus_per_process: 2\n  cpus_per_process: 8\n")
    assert {"--ntasks-per-node=3", "--gpus-per-node=6", "--cpus-per-task=8"} <= set(options(asked))
    assert built(folder, "  device: gpu\n  processes_per_gpu: 2\n").gpus == "2"
    assert built(folder, "  device: cpu\n  gpus_per_process: 2\n").gpus is None
    assert built(folder).gpus is None
    with pytest.raises(UsageError, match="3 executors of 2 GPUs each on each node for 4 GPUs"):
        built(folder, "  gpus_per_process: 2\n", gpus="4")
    with pytest.raises(UsageError, match="Set `gpus_per_process` to 1, 2 or 4"):
        built(folder, "  gpus_per_process: 8\n", gpus="4")


def test_words_that_no_shell_would_read(folder: Path) -> None:
    with pytest.raises(UsageError, match="--prefix"):
        built(folder, prefix="env 'A")


def test_a_run_that_has_begun(folder: Path) -> None:
    """It goes on with the same settings; a complete one is not submitted, nor is it run with others."""
    directory = create_run(load_job(folder / "job.yaml"), folder / "r", [])
    assert built(folder, run_dir=folder / "r").run_dir == str(folder / "r")
    with pytest.raises(UsageError, match="begun with other settings"):
        built(folder, "  mini_batch_size: 3\n", run_dir=folder / "r")
    ended_run("completed").write(directory)
    with pytest.raises(UsageError, match="this run is complete"):
        built(folder, run_dir=folder / "r")


def test_what_submit_reports(folder: Path) -> None:
    lines: list[str] = []
    asked = built(folder)
    assert submit(asked, None, lines.append, Slurm()) is ExitStatus.COMPLETE
    assert lines == ["job 7", f"run directory {asked.run_dir}"]
    assert (folder / "runs" / "latest").resolve() == Path(asked.run_dir)


def test_a_job_that_can_never_start_is_taken_back(folder: Path) -> None:
    slurm = Slurm("PENDING", "PartitionNodeLimit")
    with pytest.raises(UsageError, match=r"PartitionNodeLimit.*never start"):
        submit(built(folder), None, print, slurm)
    assert slurm.asked[-1] == "scancel"
    assert list((folder / "runs").iterdir()) == []
