"""Submitting and following, with a Slurm that says what the test wants."""

from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import pytest

from mpibatch.errors import ExitStatus, MpibatchError, RunDirectoryError, UsageError
from mpibatch.launching.batch_script import Submission, options, render
from mpibatch.launching.slurm import JobState, ask_state, concern, follow, submit, verdict


class Slurm:
    """Gives its answers in turn, the last for ever; `asked` holds the commands."""

    def __init__(self, *answers: str | Exception, status: int = 0) -> None:
        self.answers = list(answers)
        self.status = status
        self.asked: list[list[str]] = []

    def __call__(self, command: list[str]) -> CompletedProcess[str]:
        self.asked.append(command)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status = self.status or int(answer.startswith("error"))
        return CompletedProcess(command, status, "" if status else answer, answer if status else "")


def shown(state: str, reason: str = "None", exit_code: str = "0:0") -> str:
    return f"JobId=7 JobName=x JobState={state} Reason={reason} ExitCode={exit_code} WorkDir=/a b Comment=c=d"


def submission(folder: Path) -> Submission:
    return Submission(job_file="/data/job.yaml", run_dir=str(folder / "runs" / "1"), name="predict-digits")


def test_the_script_and_the_options_are_handed_over(tmp_path: Path) -> None:
    asked = submission(tmp_path)
    slurm = Slurm("7;mini\n")
    assert submit(asked, slurm) == 7
    script = tmp_path / "runs" / "1" / "logs" / "submit.sbatch"
    assert slurm.asked == [["sbatch", "--parsable", *options(asked), str(script)]]
    assert script.read_text() == render(asked)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("error: invalid partition specified: x", "sbatch refused the job:\nerror: invalid partition"),
        (FileNotFoundError(), "sbatch was not found"),
    ],
)
def test_a_refused_job_leaves_nothing(tmp_path: Path, answer: str | Exception, message: str) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(UsageError, match=message):
        submit(submission(tmp_path), Slurm(answer))
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_refused_job_leaves_a_run_that_was_there(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "1"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    with pytest.raises(UsageError):
        submit(submission(tmp_path), Slurm("error: no"))
    assert [path.name for path in run.iterdir()] == ["run.json"]


def test_an_sbatch_that_hangs_may_have_taken_the_job(tmp_path: Path) -> None:
    with pytest.raises(MpibatchError, match="whether it took the job"):
        submit(submission(tmp_path), Slurm(TimeoutExpired("sbatch", 120)))


def test_a_run_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match="cannot be the run directory"):
        submit(replace(submission(tmp_path), run_dir=str(tmp_path / "file" / "1")), Slurm("7"))


def test_a_job_is_followed_over_a_requeue(tmp_path: Path) -> None:
    answers = [
        shown("PENDING", "Priority"),
        shown("RUNNING"),
        shown("RUNNING"),
        "error: Unable to contact slurm controller",
        shown("PENDING", "BeginTime"),
        shown("RUNNING"),
        shown("COMPLETING"),
        shown("COMPLETED"),
    ]
    (tmp_path / "summary.json").write_text('{"status": "completed"}')
    lines: list[str] = []
    naps: list[float] = []
    ended = follow(7, tmp_path, report=lines.append, call=Slurm(*answers), sleep=naps.append, poll=0.4)
    assert ended is ExitStatus.COMPLETE
    assert lines == [
        "job 7 is pending (Priority)",
        "job 7 is running",
        "job 7 is unknown (error: Unable to contact slurm controller)",
        "job 7 is pending (BeginTime)",
        "job 7 is running",
        "job 7 is completing",
        "job 7 is completed",
    ]
    assert naps == [0.4] * 7


def test_a_summary_may_need_a_moment_to_be_seen(tmp_path: Path) -> None:
    def nap(_: float) -> None:
        (tmp_path / "summary.json").write_text('{"status": "aborted"}')

    call = Slurm(shown("FAILED", exit_code="3:0"))
    assert follow(7, tmp_path, report=lambda _: None, call=call, sleep=nap) is ExitStatus.ABORTED


@pytest.mark.parametrize(
    ("job", "summary", "expected"),
    [
        (JobState("COMPLETED"), "completed", ExitStatus.COMPLETE),
        (JobState("GONE"), "completed", ExitStatus.COMPLETE),
        (JobState("NODE_FAIL"), "completed", ExitStatus.COMPLETE),  # lost after the run was over
        (JobState("FAILED", exit_code=3), "aborted", ExitStatus.ABORTED),
        (JobState("FAILED", exit_code=75), "stopped", ExitStatus.STOPPED),
        (
            JobState("FAILED", exit_code=2),
            "stopped",
            ExitStatus.USAGE,
        ),  # the summary is of an earlier allocation
        (JobState("FAILED", exit_code=2), None, ExitStatus.USAGE),
        (JobState("FAILED", exit_code=1), None, ExitStatus.ERROR),
        (JobState("FAILED", exit_code=127), None, ExitStatus.ERROR),
        (JobState("FAILED", exit_code=137), None, ExitStatus.STOPPED),
        (JobState("COMPLETED"), None, ExitStatus.ERROR),
        (JobState("COMPLETED"), "stopped", ExitStatus.STOPPED),
        (JobState("CANCELLED"), None, ExitStatus.STOPPED),
        (JobState("TIMEOUT"), "stopped", ExitStatus.STOPPED),
        (JobState("GONE"), None, ExitStatus.STOPPED),
    ],
)
def test_how_a_run_ended(job: JobState, summary: str | None, expected: ExitStatus) -> None:
    assert verdict(job, summary) is expected


def test_what_scontrol_says() -> None:
    assert ask_state(7, Slurm(shown("FAILED", "NonZeroExitCode", "2:0"))) == JobState("FAILED", "NonZeroExitCode", 2)
    assert ask_state(7, Slurm(shown("FAILED", "RaisedSignal:9(Killed)", "0:9"))).exit_code == 137
    assert ask_state(7, Slurm("error: Invalid job id specified")).state == "GONE"
    assert ask_state(7, Slurm(TimeoutExpired("scontrol", 120))).state == "UNKNOWN"
    with pytest.raises(UsageError, match="scontrol was not found"):
        ask_state(7, Slurm(FileNotFoundError()))


def test_a_job_that_can_never_start_is_told() -> None:
    naps: list[float] = []
    slurm = Slurm(shown("PENDING"), shown("PENDING", "PartitionConfig"))
    told = concern(7, slurm, naps.append)
    assert told is not None
    assert told.startswith("the job is pending (PartitionConfig): as it is Slurm will never start it")
    assert concern(7, Slurm(shown("RUNNING")), naps.append) is None
    assert concern(7, Slurm(shown("PENDING", "Resources")), naps.append) is None
