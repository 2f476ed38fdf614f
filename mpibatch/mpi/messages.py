"""What ranks say to each other besides a worker's orders and reports (execution/messages.py)."""

from dataclasses import dataclass

from mpibatch.config.schema import Job
from mpibatch.placement.place import Placement


@dataclass(frozen=True, slots=True)
class Setup:
    """Rank 0 to all, once the plan is made. works: whether the coordinator owns an executor too."""

    job: Job
    directory: str
    frozen: tuple[bytes, ...]
    coordinator_works: bool


@dataclass(frozen=True, slots=True)
class CallOff:
    """Rank 0 to all in place of Setup: there will be no run; rank 0 says why."""


@dataclass(frozen=True, slots=True)
class Seated:
    """A rank to rank 0: where its executor sits."""

    host: str
    local_rank: int
    placement: Placement | None
    problem: str = ""  # why there is no placement


@dataclass(frozen=True, slots=True)
class Signalled:
    """A rank to rank 0: it was sent this signal."""

    number: int
