"""Why an executor ended, in words for its user: what happened, where, and the likely cause."""

import os
import signal

from mpibatch.execution.protocol import Task
from mpibatch.execution.watchdog import Overrun
from mpibatch.types import Cause, Failure, Phase


def at_work(
    task: Task, overrun: Overrun | None, status: int | None, phase: Phase, rank: int, host: str
) -> tuple[Cause, Failure]:
    """The attempt that a mini-batch has had in an executor that did not survive it.

    overrun: what the watchdog acted on, if it did; status: the wait status, None if it was lost; phase: from the slot
    """
    index = task.mini_batch.index
    if overrun is not None and overrun.index == index:
        cause = Cause.TIMEOUT if overrun.phase is Phase.RUN else Cause.LOAD_ERROR
        text = f"{overrun} on rank {rank} ({host}); its stacks are in the stderr file"
    else:
        cause = Cause.EXECUTOR_CRASH
        doing = {Phase.LOAD: "loading", Phase.RUN: "in run() of"}.get(phase, "encoding the rows of")
        text = f"the executor of rank {rank} on {host}, {doing} mini-batch {index}, {explain_status(status)}"
    return cause, Failure(cause.name.lower(), text, rank=rank, tries=task.tries, host=host)


def at_nothing(why_killed: str, status: int | None, rank: int, host: str) -> Failure:
    """An executor that ended without being at a mini-batch."""
    text = why_killed or f"the executor {explain_status(status)}, not at any mini-batch"
    return Failure("init", text, rank=rank, host=host)


def stuck(pid: int | None, waits_on: str, rank: int, host: str) -> Failure:
    """An executor that SIGKILL does not end."""
    text = (
        f"process {pid} on {host} survives SIGKILL; it waits on {waits_on} in the kernel (most often a hung file "
        "system or device)"
    )
    return Failure("stuck", text, rank=rank, host=host)


def explain_status(status: int | None) -> str:
    """What a wait status says to a user, with the likely cause."""
    if status is None:
        return "was lost together with its guardian process (killed from outside, or out of memory?)"
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
