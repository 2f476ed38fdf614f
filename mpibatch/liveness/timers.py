"""Every timer after which something is ended, given up or done without.

    TIMERS (name, default, who watches, what ends) --> the table in ARCHITECTURE.md (a test keeps them equal)
    the constants and functions below --> the code that watches
    a timer's name --> the message or log line about an end, so that a user finds what to change

Those that are settings of a job have their defaults in config/schema.py. How long a loop sleeps is no timer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mpibatch.errors import UsageError

START_LIMIT = "MPIBATCH_START_LIMIT"

# One executor
SHUTDOWN_SECONDS = 30.0  # for the script's shutdown()
UNKILLABLE_AFTER_SECONDS = 10.0  # after SIGKILL
START_PATIENCE_SECONDS = 600.0  # in which what keeps a process from being made may pass
# Ranks
HEARTBEAT_SECONDS = 5.0  # between two heartbeats of a rank, at most
LOOP_SILENCE_SECONDS = 3600.0  # that a file system may stall
SHUTDOWN_WAIT_SECONDS = SHUTDOWN_SECONDS + 20.0
WALLTIME_MARGIN_SECONDS = 10.0  # to close the output, and for ranks to leave
SEND_TIMEOUT_SECONDS = 10.0
SPECULATE_AFTER_SECONDS = 2.0  # and four times as long as rank 0 has taken for one itself
# The owner of a run directory
RENEW_SECONDS = 2.0  # between two renewals
LEASE_SECONDS = 20.0
# Other programs
SLURM_NOTICE_SECONDS = 120  # before the time limit, at least
NOTICE_AFTER_GRACE_SECONDS = 60  # from the end of `grace` to the time limit: Slurm's signal can be late, so can a disk
NVIDIA_SMI_SECONDS = 20.0  # a sick driver lets it hang
NODE_RESPONSE_SECONDS = 20
MPIRUN_VERSION_SECONDS = 20.0
DOCTOR_TRY_SECONDS = 60.0  # that ranks get to find each other
DOCTOR_ASK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Timer:
    """name: as messages have it; default: in words, with the setting; watched_by, ends: processes, in words."""

    name: str
    default: str
    watched_by: str
    ends: str


TIMERS = (
    Timer("init_timeout", "600 s, setting", "watchdog thread of the rank", "executor: import of the script, `init()`"),
    Timer("load_timeout", "300 s, setting", "watchdog thread of the rank", "executor: loading, encoding"),
    Timer("run_invocation_timeout", "60 s, setting", "watchdog thread of the rank", "executor: one call of `run()`"),
    Timer("shutdown_timeout", f"{SHUTDOWN_SECONDS:g} s", "watchdog thread of the rank", "executor: `shutdown()`"),
    Timer("unresponsive_executor", "`load_timeout`", "worker", "executor that takes nothing up"),
    Timer("grace", "30 s, setting", "worker", "executor that is still at a mini-batch when the run must stop"),
    Timer("unkillable_after", f"{UNKILLABLE_AFTER_SECONDS:g} s", "worker", "the rank's work; the executor stays"),
    Timer("start_patience", f"{START_PATIENCE_SECONDS:g} s", "worker", "rank's work: no executor can be started"),
    Timer("rank_timeout", "60 s, setting", "rank 0", "a rank's part in the run: its mini-batches go to others"),
    Timer("coordinator_timeout", "2 x `rank_timeout`", "every other rank", "itself and its executor"),
    Timer("deadman", "1.5 x `rank_timeout`, rank 0: 2 x", "deadman process of the rank", "rank"),
    Timer("loop_silence", f"{LOOP_SILENCE_SECONDS:g} s", "heartbeat thread of the rank", "its heartbeats, so the rank"),
    Timer(
        "startup_timeout",
        f"60 s + ranks/10 s, or `{START_LIMIT}`",
        "deadman process of the rank",
        "rank: `MPI_Init`, placement, `MPI_Finalize`; or stopped (SIGSTOP)",
    ),
    Timer("lease_ttl", f"{LEASE_SECONDS:g} s", "next owner; owner, at half of it", "the last owner's right to write"),
    Timer("run_silence", "longer of `startup_timeout` and 2 x `lease_ttl`", "launcher", "mpirun and all ranks"),
    Timer("shutdown_wait", f"{SHUTDOWN_WAIT_SECONDS:g} s", "rank 0", "its wait for ranks that have not exited"),
    Timer("walltime_margin", f"{WALLTIME_MARGIN_SECONDS:g} s before the end of the allocation", "rank 0", "run"),
    Timer("send_timeout", f"{SEND_TIMEOUT_SECONDS:g} s", "every rank, at its end", "messages that nobody takes"),
    Timer(
        "speculate_after",
        f"{SPECULATE_AFTER_SECONDS:g} s + 4 x what rank 0 takes",
        "rank 0, while it plans",
        "its wait for a rank: it does that part itself",
    ),
)


def startup_timeout(ranks: int, env: Mapping[str, str]) -> int:
    """Seconds for what all ranks do together, to start and to end, before somebody concludes that one never will.

    MPIBATCH_START_LIMIT says otherwise, for a machine that is slow to start. Raises UsageError where it is no number.
    """
    text = env.get(START_LIMIT)
    if text is None:
        return 60 + ranks // 10
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise UsageError(
            f"{START_LIMIT} is {text!r}. It is how many seconds ranks may take to start and to end (startup_timeout): "
            "set it to a whole number above 0, such as 120, or unset it"
        )
    return int(text)


def coordinator_timeout(rank_timeout: float) -> float:
    """Seconds of silence after which rank 0 counts as lost: longer than what rank 0 grants the others."""
    return 2 * rank_timeout


def deadman_timeout(rank: int, rank_timeout: float) -> float:
    """Seconds in which a rank must show its deadman process that it goes on.

    By then rank 0 has declared it lost; or the others have given up on it, where it is rank 0.
    """
    return 1.5 * rank_timeout if rank else coordinator_timeout(rank_timeout)


def run_silence(startup: float) -> float:
    """Seconds without a renewal of the lease after which a launcher ends its ranks; startup: the startup_timeout."""
    return max(startup, 2 * LEASE_SECONDS)
