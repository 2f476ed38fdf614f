"""Why an executor ended, in words for its user: what happened, where, and the likely cause."""

import os
import signal
import time

from mpibatch import attempts
from mpibatch.attempts import AttemptOutcome, Failure
from mpibatch.executor.protocol import Task
from mpibatch.liveness.timers import UNKILLABLE_AFTER_SECONDS
from mpibatch.types import Phase
from mpibatch.worker.guards import Guards

NOT_STARTED, STUCK = "not_started", "stuck"  # causes of failures that say nothing of the script


def crashed(
    task: Task, guards: Guards, status: int | None, phase: Phase, rank: int, host: str
) -> tuple[AttemptOutcome, Failure]:
    """The attempt that a mini-batch has had in an executor that did not survive it.

    guards: who may have ended it; status: the wait status, None if lost; phase: from the status block
    """
    index, expired = task.mini_batch.index, guards.expired
    doing = {Phase.LOAD: "loading", Phase.RUN: "in run() of"}.get(phase, "encoding the rows of")
    executor = f"the executor of rank {rank} on {host}, {doing} mini-batch {index},"
    if expired is not None and expired.index == index:
        cause = AttemptOutcome.TIMEOUT if expired.phase is Phase.RUN else AttemptOutcome.LOAD_ERROR
        text = f"{expired} on rank {rank} ({host}); its stacks are in the stderr file"
    elif guards.exceeded is not None:
        cause = AttemptOutcome.OUT_OF_MEMORY
        text = f"{executor} {guards.exceeded}"
    else:
        cause = AttemptOutcome.EXECUTOR_CRASH
        text = f"{executor} {describe_wait_status(status)}"
    return cause, Failure(cause.name.lower(), text, rank=rank, tries=task.tries, host=host)


def crash_record(task: Task, cause: AttemptOutcome, items: int, seconds: float, rank: int, failure_bytes: int) -> bytes:
    """The ATTEMPT record of an attempt that ends now with its executor, after `seconds`."""
    return attempts.pack(
        index=task.mini_batch.index,
        items=items,
        failure_bytes=failure_bytes,
        rank=rank,
        cause=cause,
        tries=task.tries,
        started=time.time() - seconds,
        run=seconds,
    )


def exited_idle(kill_reason: str, status: int | None, rank: int, host: str) -> Failure:
    """An executor that ended without being at a mini-batch."""
    text = kill_reason or f"the executor {describe_wait_status(status)}, not at any mini-batch"
    return Failure("init", text, rank=rank, host=host)


def not_started(error: OSError, rank: int, host: str) -> Failure:
    """No process could be made for an executor, or none of the files that it writes to."""
    return Failure(NOT_STARTED, f"no executor can be started on {host}: {error}", rank=rank, host=host)


def unkillable(pid: int | None, kernel_wait: str, rank: int, host: str) -> Failure:
    """An executor that SIGKILL does not end."""
    text = (
        f"process {pid} on {host} survives SIGKILL for {UNKILLABLE_AFTER_SECONDS:g} s (unkillable_after); it waits on "
        f"{kernel_wait} in the kernel (most often a hung file system or device)"
    )
    return Failure(STUCK, text, rank=rank, host=host)


def describe_wait_status(status: int | None) -> str:
    """What a wait status says to a user, with the likely cause."""
    if status is None:
        return "was lost together with its supervisor process (killed from outside, or out of memory?)"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"was ended by {name}{_LIKELY.get(name, '')}"
    code = os.WEXITSTATUS(status)
    return f"ended by itself with exit status {code} (the script, or a library in it, called os._exit or exit)"


_LIKELY = {
    "SIGKILL": " (most often the out-of-memory killer: see dmesg, or ask for more memory; or somebody's kill -9)",
    "SIGSEGV": " (a bug in a native library that the script uses; its stack is in the rank's stderr file)",
    "SIGBUS": " (a file mapped into memory became shorter, or /dev/shm is full)",
    "SIGABRT": " (a native library gave up; its last words are in the rank's stderr file)",
    "SIGFPE": " (a division by zero in a native library)",
    "SIGILL": " (a native library built for another processor)",
    "SIGTERM": " (somebody ended it)",
    "SIGXCPU": " (a CPU time limit: ulimit -t)",
    "SIGXFSZ": " (a file size limit: ulimit -f)",
}
