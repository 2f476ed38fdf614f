"""Messages between ranks besides a worker's orders and reports (worker/messages.py)."""

from dataclasses import dataclass

from mpibatch.config.schema import Job
from mpibatch.placement.assign import Placement


@dataclass(frozen=True, slots=True)
class RunSetup:
    """Rank 0 to all, when it knows that the run can begin; a new one is planned while the executors start.

    coordinator_works: rank 0 has an executor too
    accept_changes:    inputs are read as they are, whatever they were when they were planned
    """

    job: Job
    directory: str
    coordinator_works: bool
    accept_changes: bool


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Rank 0 to all, in place of RunSetup or after it: there will be no run; rank 0 prints why."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A rank to rank 0: the placement of its executor."""

    host: str
    local_rank: int
    placement: Placement | None
    problem: str = ""  # why there is no placement


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """A rank to rank 0: it was sent this signal."""

    number: int
