"""Why a run has ended."""

from dataclasses import dataclass

from mpibatch.attempts import Failure
from mpibatch.errors import AbortError, MpibatchError


@dataclass(frozen=True, slots=True)
class RunEnd:
    """error: None where everything is final"""

    error: MpibatchError | None = None

    @staticmethod
    def aborted(reason: str, failure: Failure | None) -> "RunEnd":
        """By a threshold, or since nothing can go on. failure: one that says why, with the script's traceback."""
        if failure is not None:
            trace = f"\n{failure.traceback.rstrip()}" if failure.traceback else ""
            reason = f"{reason}. The first failure: {failure.error}{trace}"
        return RunEnd(AbortError(reason))
