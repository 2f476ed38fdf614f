"""Executors that did not start: what is told of them, and how a run ends that no rank is left for.

StartFailed, WorkerRetired of any rank --note--> whether it is news --> the console
                                       --end---> AbortError: the script's own error was seen; else RanksLost
"""

from mpibatch.attempts import Failure
from mpibatch.errors import AbortError, MpibatchError, RanksLost
from mpibatch.worker.diagnosis import NOT_STARTED, STUCK

OF_THE_MACHINE = (NOT_STARTED, STUCK)


class StartFailures:
    """One run's. first: the first that the script is to blame for; before there is one, the first of all."""

    def __init__(self) -> None:
        self.first: Failure | None = None

    def note(self, failure: Failure) -> bool:
        """Takes note of one; whether it has become the first."""
        news = self.first is None or (self.first.cause in OF_THE_MACHINE and failure.cause not in OF_THE_MACHINE)
        if news:
            self.first = failure
        return news

    def end(self) -> MpibatchError:
        """Why the run ends, once no rank is left to work."""
        first = self.first
        if first is None:
            return RanksLost("every rank that works was lost")
        text = f"no rank is left to work. The first to fail, rank {first.rank} on {first.host}: {first.error}"
        if first.cause in OF_THE_MACHINE:
            return RanksLost(text)
        return AbortError(f"{text}\n{first.traceback.rstrip()}" if first.traceback else text)
