"""Submitting and following, with a Slurm that says what the test wants."""

from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import pytest

from mpibatch.errors import ExitStatus, MpibatchError, RunDirectoryError, UsageError
from mpibatch.launching.batch_script import Submission, options, render
from mpibatch.launching.followed_run import FollowedRun
from mpibatch.launching.slurm_job import JobState, ask_state, exit_status, follow, submit, why_never_starts
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.failure_kinds import FailureKind
from mpibatch.runs.summary import RunState
from tests.runs.records import ended_run


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
    assert submit(asked, slurm, {}) == 7
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
    ended_run("completed").write(RunDirectory(tmp_path))
    lines: list[str] = []
    naps: list[float] = []
    ended = follow(7, FollowedRun(tmp_path), report=lines.append, run=Slurm(*answers), sleep=naps.append, poll=0.4)
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
        ended_run("aborted").write(RunDirectory(tmp_path))

    call = Slurm(shown("FAILED", exit_code="3:0"))
    assert follow(7, FollowedRun(tmp_path), report=lambda _: None, run=call, sleep=nap) is ExitStatus.ABORTED


def told_at_the_end(folder: Path, state: str, exit_code: str) -> str:
    """The last that `submit --wait` says."""
    lines: list[str] = []
    slurm = Slurm(shown(state, "None", exit_code))
    follow(7, FollowedRun(folder), report=lines.append, run=slurm, sleep=lambda _: None)
    return lines[-1]


def test_the_cause_of_an_aborted_run_is_told_and_where_its_log_is(tmp_path: Path) -> None:
    """Only `job 7 is failed` was."""
    trace = 'Traceback (most recent call last):\n  File "/x/score.py", line 12, in run\nValueError: no\x1b[31m\n'
    kind = FailureKind("user_error", "ValueError: no\x1b[31m", "score.py:12 in run", 2, trace, 3, "/d/3", 1, "n1")
    ended_run("aborted", reason="2 items failed", failures=(kind,)).write(RunDirectory(tmp_path))
    said = told_at_the_end(tmp_path, "FAILED", "3:0")
    for expected in ("aborted: 2 items failed", "score.py:12 in run", 'File "/x/score.py", line 12', "\\x1b[31m"):
        assert expected in said
    assert f"mpibatch resume {tmp_path}" in said
    assert f"job's log     {tmp_path}/logs/slurm-7.txt" in said
    assert "\x1b" not in said


def test_where_the_run_has_said_nothing_the_end_of_its_log_is_told(tmp_path: Path) -> None:
    """A batch script that fails before mpibatch begins; a run that went on with inputs that have changed."""
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "slurm-7.txt"
    assert f"{log} cannot be read" in told_at_the_end(tmp_path, "FAILED", "127:0")
    log.write_bytes(b"x\n" * 1000 + b"module: \x1b[31m command not found \xff\n\n")
    said = told_at_the_end(tmp_path, "FAILED", "127:0")
    assert said.splitlines()[-1].strip() == "module: \\x1b[31m command not found \\xff"
    assert len(said.splitlines()) < 20
    ended_run("stopped", reason="Ctrl-C").write(RunDirectory(tmp_path))
    assert "command not found" in told_at_the_end(tmp_path, "FAILED", "2:0"), "the summary is of an earlier allocation"
    assert "stopped: Ctrl-C" in told_at_the_end(tmp_path, "FAILED", "75:0")


def test_sbatch_gets_no_variable_of_the_job_in_which_it_is_called(tmp_path: Path) -> None:
    """`srun` in the new job took the memory and the tasks of the outer one for its own, and was refused."""
    outer = {"SLURM_JOB_ID": "3", "SLURM_MEM_PER_CPU": "100", "SLURM_CONF": "/etc/slurm.conf", "PATH": "/bin"}
    slurm = Slurm("7")
    submit(submission(tmp_path), slurm, outer)
    assert slurm.asked[0][:4] == ["env", "--unset=SLURM_JOB_ID", "--unset=SLURM_MEM_PER_CPU", "sbatch"]


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
    assert exit_status(job, None if summary is None else RunState(summary)) is expected


def test_what_scontrol_says() -> None:
    assert ask_state(7, Slurm(shown("FAILED", "NonZeroExitCode", "2:0"))) == JobState("FAILED", "NonZeroExitCode", 2)
    assert ask_state(7, Slurm(shown("FAILED", "RaisedSignal:9(Killed)", "0:9"))).exit_code == 137
    assert ask_state(7, Slurm("error: Invalid job id specified")).state == "GONE"
    assert ask_state(7, Slurm(TimeoutExpired("scontrol", 120))).state == "UNKNOWN"
    with pytest.raises(UsageError, match="scontrol was not found"):
        ask_state(7, Slurm(FileNotFoundError()))


def test_a_job_that_can_never_start_is_noticed() -> None:
    naps: list[float] = []
    slurm = Slurm(shown("PENDING"), shown("PENDING", "PartitionConfig"))
    message = why_never_starts(7, slurm, naps.append)
    assert message is not None
    assert message.startswith("the job is pending (PartitionConfig): as it is Slurm will never start it")
    assert why_never_starts(7, Slurm(shown("RUNNING")), naps.append) is None
    assert why_never_starts(7, Slurm(shown("PENDING", "Resources")), naps.append) is None
