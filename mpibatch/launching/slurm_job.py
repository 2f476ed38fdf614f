"""`mpibatch submit`: hands a batch script to Slurm, and follows a job to its end.

    Submission --render--> <run_dir>/logs/submit.sbatch --sbatch--> job id
    job id --scontrol, every few seconds--> its state; while it runs FollowedRun.progress --> lines of progress
                                            at the end FollowedRun.end, cause --> exit status, and why

The run directory is fixed at submission: a requeued job resumes in it, and `--wait` knows where to look. How
a run ended is what its summary says; Slurm is asked whether its job has ended, and how if it left no summary.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Protocol

from mpibatch.cluster.slurm import Runner, run
from mpibatch.errors import ExitStatus, MpibatchError, RunDirectoryError, UsageError
from mpibatch.launching.batch_script import Submission, options, render
from mpibatch.launching.followed_run import tail
from mpibatch.runs.summary import RunState

FORGOTTEN = "GONE"  # not Slurm's word: it forgets a job some minutes after its end (MinJobAge)
UNREACHABLE = "UNKNOWN"  # nor this: a controller that restarts is no reason to give up
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
}
ENDED |= {"REVOKED", "TIMEOUT", FORGOTTEN}
HAS_RUN = {"RUNNING", "COMPLETING"} | ENDED
NEVER_STARTS = {"BadConstraints", "PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit"}
OF_THE_USER = {"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_DEBUG"}  # where and who Slurm is, of no job
NO_SLURM = (
    "{program} was not found: this machine has no Slurm. Submit from a login node of the cluster, "
    "or run the job here with `mpibatch run`"
)


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as Slurm sees it: `reason` says why it waits, `exit_code` how its batch script ended."""

    state: str
    reason: str = "None"
    exit_code: int = 0

    def __str__(self) -> str:
        words = self.state.lower().replace("_", " ")
        return words if self.reason == "None" else f"{words} ({self.reason})"


def submit(submission: Submission, run: Runner = run, env: Mapping[str, str] = os.environ) -> int:
    """Hands the job to Slurm and returns its id. A refused job leaves nothing behind.

    env: of this process, which may itself be in a job: of its variables sbatch gets none
    """
    script = submission.logs / "submit.sbatch"
    try:
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(render(submission))
    except OSError as error:
        raise RunDirectoryError(f"{submission.run_dir} cannot be the run directory: {error}") from error
    try:
        answer = _run_slurm([*_without_outer_job(env), "sbatch", "--parsable", *options(submission), str(script)], run)
        if answer.returncode != 0:
            raise UsageError(f"sbatch refused the job:\n{answer.stderr.strip() or answer.stdout.strip()}")
    except UsageError:
        _remove(script)
        raise
    except TimeoutExpired:
        raise MpibatchError("sbatch hangs; `squeue --me` says whether it took the job nevertheless") from None
    job = answer.stdout.strip().partition(";")[0]  # "id" or "id;cluster"
    if not job.isdecimal():
        raise MpibatchError(f"sbatch took the job, but instead of its id it said {answer.stdout!r}")
    return int(job)


class Followed(Protocol):
    """The run of a job, or of a pipeline, as far as `follow` asks. Its methods may raise RunDirectoryError."""

    @property
    def path(self) -> Path: ...

    def progress(self) -> str: ...

    def end(self) -> RunState | None: ...

    def cause(self, status: ExitStatus) -> str: ...


def _without_outer_job(env: Mapping[str, str]) -> list[str]:
    """Words before a command. The job would get this job's variables, and its srun would take them for its own."""
    outer = sorted(name for name in env if name.startswith(("SLURM_", "SLURMD_")) and name not in OF_THE_USER)
    return ["env", *(f"--unset={name}" for name in outer)] if outer else []


def follow(
    job: int,
    followed: Followed,
    *,
    report: Callable[[str], None] = print,
    run: Runner = run,
    sleep: Callable[[float], None] = time.sleep,
    poll: float = 5.0,
) -> ExitStatus:
    """Waits for the job to end, requeues included; returns how the run ended.

    `report` gets each change, and the cause and the log where the run is not complete.

    Looks often at first, for short jobs, then every `poll` seconds.
    """
    last: dict[str, str] = {}
    delay = min(0.5, poll)
    while True:
        job_state = ask_state(job, run)
        lines = {"progress": followed.progress()} if job_state.state in HAS_RUN else {}
        lines["state"] = f"job {job} is {job_state}"
        for kind, line in lines.items():
            if line != last.get(kind, ""):
                report(line)
        last |= lines
        if job_state.state in ENDED:
            status = exit_status(job_state, _recorded_end(followed, sleep))
            if status is not ExitStatus.COMPLETE:
                cause, log = followed.cause(status), job_log(followed.path, job)
                report(f"{cause}\n  job's log     {log}" if cause else tail(log))
            return status
        sleep(delay)
        delay = min(delay * 1.5, poll)


def why_never_starts(job: int, run: Runner = run, sleep: Callable[[float], None] = time.sleep) -> str | None:
    """Why Slurm will never start a job that it has just taken, if so; it needs a moment to find that out."""
    for _ in range(8):
        state = ask_state(job, run)
        if state.state != "PENDING" or state.reason != "None":
            break
        sleep(0.5)
    if state.reason not in NEVER_STARTS:
        return None
    return (
        f"the job is {state}: as it is Slurm will never start it. The partition has fewer nodes, smaller ones or a "
        "shorter time limit than it asks for; submit it with other --nodes, --time or --partition"
    )


def cancel(job: int, submission: Submission, run: Runner = run) -> None:
    """Takes back a job that has not begun, and what `submit` wrote for it."""
    _run_slurm(["scancel", str(job)], run)
    _remove(submission.logs / "submit.sbatch")


def ask_state(job: int, run: Runner = run) -> JobState:
    try:
        answer = _run_slurm(["scontrol", "--oneliner", "show", "job", str(job)], run)
    except TimeoutExpired:
        return JobState(UNREACHABLE, "scontrol hangs")
    if answer.returncode != 0:
        error = answer.stderr.strip()
        return JobState(FORGOTTEN) if "Invalid job id" in error else JobState(UNREACHABLE, error)
    known = dict(pair.partition("=")[::2] for pair in answer.stdout.split())
    exit_code, _, number = known.get("ExitCode", "0:0").partition(":")
    status = int(exit_code) or (128 + int(number) if int(number or 0) else 0)
    return JobState(known["JobState"], known.get("Reason", "None"), status)


def exit_status(job: JobState, end: RunState | None) -> ExitStatus:
    """The exit status of a run whose job has ended; end: what its summary says, if there is one.

    A summary that says `stopped` may be that of an earlier allocation, so the batch script's own status goes
    before it: the last allocation may have found, say, that the inputs changed.
    """
    if end in (RunState.COMPLETED, RunState.ABORTED):
        return end.exit_status
    if job.state == "COMPLETED" and end is None:
        return ExitStatus.ERROR  # it claims to be complete and there is nothing to show for it
    if job.state == "FAILED" and job.exit_code < 128 and job.exit_code != ExitStatus.STOPPED:
        known = {status.value for status in ExitStatus}
        return ExitStatus(job.exit_code) if job.exit_code in known else ExitStatus.ERROR
    return ExitStatus.STOPPED


def job_log(run_dir: Path, job: int) -> Path:
    """What the batch script has printed."""
    return run_dir / "logs" / f"slurm-{job}.txt"


def _recorded_end(followed: Followed, sleep: Callable[[float], None]) -> RunState | None:
    """None if there is no summary, also after the seconds that a network file system may need to show one."""
    for _ in range(3):
        end = followed.end()
        if end is not None:
            return end
        sleep(1.0)
    return None


def _run_slurm(command: list[str], run: Runner) -> CompletedProcess[str]:
    try:
        return run(command)
    except FileNotFoundError:
        raise UsageError(NO_SLURM.format(program=command[0])) from None


def _remove(script: Path) -> None:
    """Removes what `submit` made; not a run directory that holds more."""
    script.unlink(missing_ok=True)
    with suppress(OSError):
        script.parent.rmdir()
        script.parent.parent.rmdir()
