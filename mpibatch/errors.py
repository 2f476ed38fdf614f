"""The one exception tree. A message says what happened, where, the likely cause, and what to do.

    MpibatchError            exit 1   anything that went wrong and that mpibatch can explain
     |- UsageError           exit 2   the user's job file, script, arguments or paths
     |   |- JobFileError              every problem of a job file at once
     |   |- InputError                inputs that match nothing or cannot be planned
     |   |- ScriptError               an entry script that cannot be used
     |   `- WorkspaceError            a model, dataset or datastore that is not there, or cannot be registered
     |- AbortError           exit 3   a threshold was passed, or init() failed everywhere
     |- RunDirectoryError    exit 1   the run directory cannot be written or read back
     `- StoppedEarly         exit 75  a signal, the walltime or a lost node; resumable
         `- RanksLost                 no rank is left that works

75 is EX_TEMPFAIL of sysexits.h, after which the same may be tried again.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the process tells the shell and the batch system."""

    COMPLETE = 0
    ERROR = 1
    USAGE = 2
    ABORTED = 3
    STOPPED = 75
    INTERRUPTED = 130  # as shells have it: 128 + SIGINT


REASON_PRINTED = 70
"""EX_SOFTWARE: from a rank to its launcher in place of ERROR, once the reason was printed. A lost node gives 1 too."""


class MpibatchError(Exception):
    """Base of everything mpibatch raises on purpose; `str()` of it is fit for the user's eyes."""

    status = ExitStatus.ERROR


class UsageError(MpibatchError):
    """The user can mend it: job file, script, arguments or paths."""

    status = ExitStatus.USAGE


class JobFileError(UsageError):
    """A job file with problems; `problems` holds one finished sentence or paragraph each."""

    def __init__(self, path: str, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{path}: {count}\n" + "\n".join(f"  - {problem}" for problem in problems))


class InputError(UsageError):
    """An input that matches nothing, or that cannot be cut into mini-batches."""


class ScriptError(UsageError):
    """An entry script that is missing, does not import, or has no usable `run`."""


class WorkspaceError(UsageError):
    """What the workspace does not have, cannot take in, or cannot write."""


class AbortError(MpibatchError):
    """The run was given up: a threshold was passed, or `init()` failed on every rank."""

    status = ExitStatus.ABORTED


class RunDirectoryError(MpibatchError):
    """The run directory cannot be written, or what is in it cannot be trusted."""


class StoppedEarly(MpibatchError):
    """The run stopped before its end and can be resumed."""

    status = ExitStatus.STOPPED


class RanksLost(StoppedEarly):
    """Every rank that works was lost: ranks that are started again may go on at once."""
