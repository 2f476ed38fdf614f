"""What a worker is ordered to do, and what it reports. Rank 0 is the other end, over MPI or (its own worker) directly.

rank 0 --Order--> Worker.handle          Worker.poll --Report--> rank 0
"""

from dataclasses import dataclass
from pickle import PickleBuffer

from mpibatch.attempts import Failure
from mpibatch.large import RowData
from mpibatch.types import MiniBatchRange, Pickled


@dataclass(frozen=True, slots=True)
class ExecuteTasks(Pickled):
    """Run these mini-batches, as try number `tries`.

    packet_size:   how many may go to the executor in one packet, and thus cannot be given back one by one
    isolate_items: 0, or the items of the one mini-batch, which is to be run in parts
    """

    mini_batches: MiniBatchRange
    tries: int
    packet_size: int = 1
    isolate_items: int = 0


@dataclass(frozen=True, slots=True)
class RecallTasks(Pickled):
    """Up to `count` mini-batches that are not begun, the last ones first. Always answered with TasksReturned."""

    count: int


@dataclass(frozen=True, slots=True)
class CancelTasks:
    """Other ranks have finished these: what waits of them is dropped, an executor that is at one is ended, and nothing
    is reported."""

    indices: list[int]


@dataclass(frozen=True, slots=True)
class Drain:
    """Give back all that is not begun; what runs gets `grace` seconds."""

    grace: float


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Rank 0 had held this rank to be lost, and has given away what it was granted: it is to begin anew.

    Answered with Rejoined; nothing that was reported before that counts, but for schemas. number: of this order
    """

    number: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The run is over. `kill`: kill the executor; otherwise the script's shutdown() is called first.

    skip_finalize: a rank was lost, so the process is to end without MPI_Finalize, which may hang
    """

    kill: bool
    skip_finalize: bool = False


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """init() has succeeded here; seconds from the start of the process."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ExecutorRestarted:
    """The same of an executor after the first; rank 0 notes it for the report."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Results(Pickled):
    """Attempts that have ended.

    records: ATTEMPT records one after the other
    data:    each one's row bytes and failure bytes, in the same order; those of a large attempt, which is alone in
             its message, in the buffer that they were read into
    """

    records: bytes
    data: RowData

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """A buffer is handed to whoever sends the message, and not copied into the pickle (PEP 574)."""
        return Results, (self.records, self.data if isinstance(self.data, bytes) else PickleBuffer(self.data))

    @property
    def is_large(self) -> bool:
        """Whether it is not to be joined with others, which would copy it."""
        return not isinstance(self.data, bytes)


@dataclass(frozen=True, slots=True)
class NewSchema:
    """Schema number `id` of records that follow."""

    id: int
    schema: bytes


@dataclass(frozen=True, slots=True)
class TasksReturned(Pickled):
    """Mini-batches that this worker gives back; none of them has begun, or none of them is to blame."""

    indices: list[int]
    recalled: bool  # the answer to RecallTasks


@dataclass(frozen=True, slots=True)
class StartFailed:
    """init() failed or the executor ended without being at a mini-batch; another is started."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class ExecutorReplaced:
    """The executor ends, and another starts, because of `reason`; said the first time that this happens on a rank."""

    reason: str


@dataclass(frozen=True, slots=True)
class WorkerRetired:
    """This worker runs nothing any more; what it held goes to others."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Rejoined:
    """The answer to Rejoin of this number: the worker holds nothing. has_begun: whether it ever was ready."""

    number: int
    has_begun: bool


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """The answer to Shutdown: the executor has ended. The last report of a worker."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Still here: from every rank to rank 0, and from rank 0 to every rank."""


Order = ExecuteTasks | RecallTasks | CancelTasks | Drain | Rejoin | Shutdown | Heartbeat
Report = (
    WorkerReady
    | ExecutorRestarted
    | Results
    | NewSchema
    | TasksReturned
    | StartFailed
    | ExecutorReplaced
    | WorkerRetired
    | Rejoined
    | WorkerExited
    | Heartbeat
)
