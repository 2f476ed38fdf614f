"""What a worker is ordered to do, and what it reports. Rank 0 is the other end, over MPI or (its own worker) directly.

rank 0 --Order--> Worker.handle          Worker.poll --Report--> rank 0
"""

from dataclasses import dataclass

from mpibatch.types import Failure, MiniBatches


@dataclass(frozen=True, slots=True)
class Run:
    """Run these mini-batches, as try number `tries`.

    group:   how many may go to the executor in one packet, and thus cannot be given back one by one
    isolate: 0, or the items of the one mini-batch, which is to be run in parts
    """

    mini_batches: MiniBatches
    tries: int
    group: int = 1
    isolate: int = 0


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Up to `count` mini-batches that are not begun, the last ones first. Always answered with Returned."""

    count: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Give back all that is not begun; what runs gets `grace` seconds."""

    grace: float


@dataclass(frozen=True, slots=True)
class Leave:
    """The run is over. `at_once`: kill the executor; otherwise the script's shutdown() is called first.

    abrupt: a rank was lost, so the process is to end without MPI_Finalize, which may hang
    """

    at_once: bool
    abrupt: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """init() has succeeded here; seconds from the start of the process."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Results:
    """Attempts that have ended.

    records: ATTEMPT records one after the other
    data:    each one's row bytes and failure bytes, in the same order
    """

    records: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class SchemaSeen:
    """Schema number `id` of records that follow."""

    id: int
    schema: bytes


@dataclass(frozen=True, slots=True)
class Returned:
    """Mini-batches that this worker gives back; none of them has begun, or none of them is to blame."""

    indices: list[int]
    asked: bool  # the answer to GiveBack


@dataclass(frozen=True, slots=True)
class Stumbled:
    """init() failed or the executor ended without being at a mini-batch; another is started."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Retired:
    """This worker runs nothing any more; what it held goes to others."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Gone:
    """The answer to Leave: the executor has ended. The last report of a worker."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Still here: from every rank to rank 0, and from rank 0 to every rank."""


Order = Run | GiveBack | Drain | Leave | Beat
Report = Joined | Results | SchemaSeen | Returned | Stumbled | Retired | Gone | Beat
