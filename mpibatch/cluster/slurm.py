"""What Slurm says of itself: the one way to run its commands, and how often this job began and when it will end.

A command goes in as a list, never through a shell, and its answer comes back whole. Whoever asks Slurm takes
the `Runner` as an argument, so that tests can answer in its place or ask a cluster of their own.
"""

import subprocess
from collections.abc import Callable, Mapping

Runner = Callable[[list[str]], "subprocess.CompletedProcess[str]"]

COMMAND_TIMEOUT = 120.0  # seconds; Slurm's own commands give up earlier when the controller is silent


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Runs one of Slurm's commands; OSError if there is none, TimeoutExpired if it hangs."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT
    )


def is_requeued(env: Mapping[str, str]) -> bool:
    """Whether Slurm has put this job back into the queue, and has started it again."""
    return env.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def allocation_end(env: Mapping[str, str], run: Runner = run) -> float | None:
    """When the time limit of this allocation is reached, in seconds since the epoch.

    None outside Slurm and where Slurm does not say; without a limit Slurm says in a year. Newer Slurms set
    SLURM_JOB_END_TIME; the others are asked, in seconds, since a date would come without its time zone.
    """
    job = env.get("SLURM_JOB_ID")
    if not job:
        return None
    end = env.get("SLURM_JOB_END_TIME", "")
    if not end:
        try:
            end = run(["env", "SLURM_TIME_FORMAT=%s", "squeue", "--noheader", f"--jobs={job}", "--format=%e"]).stdout
        except (OSError, subprocess.TimeoutExpired):
            return None
    end = end.strip()
    return float(end) if end.isdecimal() and int(end) > 0 else None
