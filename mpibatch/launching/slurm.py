"""`mpibatch submit`: hands a batch script to Slurm, and follows a job to its end.

    Submission --render--> <run_dir>/logs/submit.sbatch --sbatch--> job id
    job id --scontrol, every few seconds--> its state; while it runs <run_dir>/status.json --> lines of progress
                                            at the end <run_dir>/summary.json --> exit status

The run directory is fixed at submission: a requeued job goes on in it, and `--wait` knows where to look. How
a run ended is what its summary says; Slurm is asked whether its job has ended, and how if it left no summary.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

from mpibatch.errors import ExitStatus, MpibatchError, RunDirectoryError, UsageError
from mpibatch.launching.batch_script import Submission, options, render
from mpibatch.placement.allocation import Call, call
from mpibatch.runs.directory import read_json

BY_SUMMARY = {"completed": ExitStatus.COMPLETE, "aborted": ExitStatus.ABORTED}
GONE = "GONE"  # not Slurm's word: it forgets a job some minutes after its end (MinJobAge)
SILENT = "UNKNOWN"  # nor this: a controller that restarts is no reason to give up
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
ENDED |= {"REVOKED", "TIMEOUT", GONE}
HAS_RUN = {"RUNNING", "COMPLETING"} | ENDED
HOPELESS = {"BadConstraints", "PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit"}
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


def submit(submission: Submission, call: Call = call) -> int:
    """Hands the job to Slurm and returns its id. A refused job leaves nothing behind."""
    script = submission.logs / "submit.sbatch"
    try:
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(render(submission))
    except OSError as error:
        raise RunDirectoryError(f"{submission.run_dir} cannot be the run directory: {error}") from error
    try:
        answer = _run(["sbatch", "--parsable", *options(submission), str(script)], call)
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


def follow(
    job: int,
    run_dir: Path,
    *,
    report: Callable[[str], None] = print,
    call: Call = call,
    sleep: Callable[[float], None] = time.sleep,
    poll: float = 5.0,
) -> ExitStatus:
    """Waits for the job to end, requeues included; returns how the run ended. `report` gets each change.

    Looks often at first, for short jobs, then every `poll` seconds.
    """
    last: dict[str, str] = {}
    nap = min(0.5, poll)
    while True:
        job_state = ask_state(job, call)
        lines = {"progress": _progress(run_dir)} if job_state.state in HAS_RUN else {}
        lines["state"] = f"job {job} is {job_state}"
        for kind, line in lines.items():
            if line != last.get(kind, ""):
                report(line)
        last |= lines
        if job_state.state in ENDED:
            return verdict(job_state, _summary_status(run_dir, sleep))
        sleep(nap)
        nap = min(nap * 1.5, poll)


def concern(job: int, call: Call = call, sleep: Callable[[float], None] = time.sleep) -> str | None:
    """Why Slurm will never start a job that it has just taken, if so; it needs a moment to find that out."""
    for _ in range(8):
        state = ask_state(job, call)
        if state.state != "PENDING" or state.reason != "None":
            break
        sleep(0.5)
    if state.reason not in HOPELESS:
        return None
    return (
        f"the job is {state}: as it is Slurm will never start it. The partition has fewer nodes, smaller ones or a "
        "shorter time limit than it asks for; submit it with other --nodes, --time or --partition"
    )


def withdraw(job: int, submission: Submission, call: Call = call) -> None:
    """Takes back a job that has not begun, and what `submit` wrote for it."""
    _run(["scancel", str(job)], call)
    _remove(submission.logs / "submit.sbatch")


def ask_state(job: int, call: Call = call) -> JobState:
    try:
        answer = _run(["scontrol", "--oneliner", "show", "job", str(job)], call)
    except TimeoutExpired:
        return JobState(SILENT, "scontrol hangs")
    if answer.returncode != 0:
        error = answer.stderr.strip()
        return JobState(GONE) if "Invalid job id" in error else JobState(SILENT, error)
    known = dict(pair.partition("=")[::2] for pair in answer.stdout.split())
    exit_code, _, number = known.get("ExitCode", "0:0").partition(":")
    status = int(exit_code) or (128 + int(number) if int(number or 0) else 0)
    return JobState(known["JobState"], known.get("Reason", "None"), status)


def verdict(job: JobState, summary: str | None) -> ExitStatus:
    """The exit status of a run whose job has ended.

    A summary that says `stopped` may be that of an earlier allocation, so the batch script's own status goes
    before it: the last allocation may have found, say, that the inputs changed.
    """
    if summary in BY_SUMMARY:
        return BY_SUMMARY[summary]
    if job.state == "COMPLETED" and summary is None:
        return ExitStatus.ERROR  # it claims to be complete and there is nothing to show for it
    if job.state == "FAILED" and job.exit_code < 128 and job.exit_code != ExitStatus.STOPPED:
        known = {status.value for status in ExitStatus}
        return ExitStatus(job.exit_code) if job.exit_code in known else ExitStatus.ERROR
    return ExitStatus.STOPPED


def _progress(run_dir: Path) -> str:
    """How far the run is, "" where nothing says so yet."""
    with suppress(RunDirectoryError, KeyError):
        counts = read_json(run_dir / "status.json")["mini_batches"]
        done = counts["succeeded"] + counts["failed"]
        failed = f", {counts['failed']} of them failed" if counts["failed"] else ""
        return f"{done} of {counts['total']} mini-batches done{failed}"
    return ""


def _summary_status(run_dir: Path, sleep: Callable[[float], None]) -> str | None:
    """None if there is no summary, also after the seconds that a network file system may need to show one."""
    for _ in range(3):
        with suppress(FileNotFoundError):
            return str(json.loads((run_dir / "summary.json").read_text()).get("status"))
        sleep(1.0)
    return None


def _run(command: list[str], call: Call) -> CompletedProcess[str]:
    try:
        return call(command)
    except FileNotFoundError:
        raise UsageError(NO_SLURM.format(program=command[0])) from None


def _remove(script: Path) -> None:
    """Removes what `submit` made; not a run directory that holds more."""
    script.unlink(missing_ok=True)
    with suppress(OSError):
        script.parent.rmdir()
        script.parent.parent.rmdir()
