"""Messages between ranks: frozen dataclasses in, frozen dataclasses out, never blocking.

    send --pickle--> isend, completed by later calls                     receive <-- improbe, imrecv
         --if large--> announcement, isend of each piece                         <-- irecv, when there is room

Nothing here waits for another rank: one that dies or is stopped in the middle of a message leaves a part of it, and the
messages of others go on; large ones perhaps once it is forgotten, since they are given only so much memory at a time.
Messages of one rank arrive in the order in which they were sent, but for heartbeats.

Pickle is safe here: both ends are one program of one user, started together. Sends are non-blocking and every rank
always receives, since two ranks that block in large sends to each other would hang. A run of one rank needs no MPI.
Heartbeats are sent from a thread of their own; everything else is for the thread of the loop.
"""

import logging
import pickle
import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mpibatch.errors import StoppedEarly
from mpibatch.liveness.timers import SEND_TIMEOUT_SECONDS
from mpibatch.mpi.large_message import BODY_TAG, Announcement, LargeMessage, pieces
from mpibatch.worker.messages import Heartbeat

if TYPE_CHECKING:
    from mpi4py import MPI

logger = logging.getLogger(__name__)

TAG = 7  # of a message: the communicator is mpibatch's own
WHOLE_BYTES = 64 << 10  # MPI sends about so much without asking; a pickle of more is announced, and taken when there is
# room: what was matched must be given its memory, and all ranks may send at once
MAX_LARGE_BYTES = 128 << 20  # of announced messages under way here at once; one of any size, if it is the only one
MAX_PER_POLL = 64  # messages taken in one go, so that what they cause is not put off


class Transport(Protocol):
    """One rank's way to the others."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def library(self) -> str:
        """The MPI library and its version, for the record."""

    @property
    def is_busy(self) -> bool:
        """Whether a message is under way: MPI makes progress only when it is called."""

    @property
    def unsent_bytes(self) -> int:
        """Of what was sent and is not yet taken: it is held here meanwhile."""

    def send(self, to: int, message: object) -> None:
        """From any thread."""

    def receive(self) -> list[tuple[int, Any]]:
        """What has arrived, each with the rank that sent it."""

    def forget(self, rank: int) -> None:
        """A rank is lost, or silent: what it has announced may never come, and is not waited for."""

    def remember(self, rank: int) -> None:
        """A silent rank is heard again."""

    def allgather_on_node(self, value: object) -> tuple[int, list[Any]]:
        """This rank's number among the ranks of its node, and what each of them gave. They call it together.

        Raises StoppedEarly where one of them has died.
        """

    def take_failed(self) -> list[int]:
        """Ranks that have died since the last call, as far as this MPI tells (ULFM)."""

    @property
    def has_failures(self) -> bool:
        """Whether a rank was ever lost: MPI_Finalize may then hang."""

    def close(self) -> None:
        """Completes what is under way. The last call."""


class LocalTransport:
    """The one rank of a run that needs no MPI."""

    rank = 0
    size = 1
    library = "none: one rank"
    is_busy = False
    unsent_bytes = 0
    has_failures = False

    def send(self, to: int, message: object) -> None:
        raise AssertionError(f"no rank {to} in a run of one")

    def receive(self) -> list[tuple[int, Any]]:
        return []

    def forget(self, rank: int) -> None:
        pass

    def remember(self, rank: int) -> None:
        pass

    def allgather_on_node(self, value: object) -> tuple[int, list[Any]]:
        return 0, [value]

    def take_failed(self) -> list[int]:
        return []

    def close(self) -> None:
        pass


@dataclass(slots=True)
class _Incoming:
    """From one rank, in order. under_way: {request, buffer} of messages and announcements; then come to be waiting: a
    large message, and the messages behind it."""

    under_way: "deque[tuple[MPI.Request, bytearray]]" = field(default_factory=deque)
    waiting: deque[Any] = field(default_factory=deque)


class MpiTransport:
    """Over a communicator of its own.

    With ULFM (`mpirun --with-ft ulfm` of Open MPI 5) a call that meets a dead rank raises; the failure is then
    acknowledged, after which receiving from any source works again. See "User-Level Failure Mitigation" in MPI 5's
    annex of extensions, and Open MPI's documentation of it. Raises StoppedEarly where that is so at once.
    """

    def __init__(self, world: "MPI.Comm") -> None:
        from mpi4py import MPI

        self._mpi = MPI
        try:
            self._comm = world.Dup()
            # Here, since all ranks take part: later one whose file system hangs is waited for by its own node alone
            self._node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        except MPI.Exception as error:  # mostly of class ERR_PROC_FAILED
            raise StoppedEarly(f"a rank was lost while MPI started ({error})") from error
        for comm in (self._comm, self._node):
            comm.Set_errhandler(MPI.ERRORS_RETURN)  # mpi4py makes exceptions of what is returned
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()
        self.library = MPI.Get_library_version().splitlines()[0].strip()
        self._lock = threading.RLock()  # of sends and of failures
        self._is_thread_safe = MPI.Query_thread() == MPI.THREAD_MULTIPLE
        self._owner = threading.current_thread()
        # what other threads send through an MPI that lets none
        self._deferred: deque[tuple[int, bytes, list[memoryview]]] = deque()
        self._sends: deque[tuple[MPI.Request, memoryview]] = deque()
        self.unsent_bytes = 0
        self._incoming: dict[int, _Incoming] = {}
        self._announced: deque[LargeMessage] = deque()  # not begun
        self._begun: list[LargeMessage] = []
        self._forgotten: set[int] = set()
        self._abandoned: list[_Incoming] = []  # of the dead: MPI may write into their buffers still
        self._failed: list[int] = []  # all, in the order of their acknowledgement
        self._reported = 0
        self._is_broken = False

    @property
    def is_busy(self) -> bool:
        return bool(self._sends or self._incoming.keys() - self._forgotten)

    @property
    def has_failures(self) -> bool:
        return self._is_broken or bool(self._failed)

    def send(self, to: int, message: object) -> None:
        buffers: list[pickle.PickleBuffer] = []
        data, parts = pickle.dumps(message, protocol=5, buffer_callback=buffers.append), []
        if buffers or len(data) > WHOLE_BYTES:
            parts = [memoryview(data), *(buffer.raw() for buffer in buffers)]
            data = pickle.dumps(Announcement([len(part) for part in parts]), protocol=5)
        if not self._is_thread_safe and threading.current_thread() is not self._owner:
            self._deferred.append((to, data, parts))
        else:
            self._send(to, data, parts)

    def _send(self, to: int, data: bytes, parts: list[memoryview]) -> None:
        with self._lock:  # announcements and pieces are in the same order
            try:
                self._isend(to, TAG, memoryview(data))
                for part in parts:
                    for piece in pieces(part):
                        self._isend(to, BODY_TAG, piece)
            except self._mpi.Exception as error:
                self._acknowledge(error)

    def _isend(self, to: int, tag: int, data: memoryview) -> None:
        self._sends.append((self._comm.Isend([data, self._mpi.BYTE], to, tag), data))
        self.unsent_bytes += len(data)

    def receive(self) -> list[tuple[int, Any]]:
        self._complete()
        while self._deferred:
            self._send(*self._deferred.popleft())
        status = self._mpi.Status()
        messages: list[tuple[int, Any]] = []
        self._abandon_dead()
        try:
            self._begin_announced()  # now that what the last call has returned is gone
            for source in list(self._incoming):
                messages += self._arrived(source, MAX_PER_POLL - len(messages))
            while len(messages) < MAX_PER_POLL:
                matched = self._comm.Improbe(self._mpi.ANY_SOURCE, TAG, status)
                if matched is None:
                    break
                source, data = status.Get_source(), bytearray(status.Get_count(self._mpi.BYTE))
                request = matched.Irecv([data, self._mpi.BYTE])
                self._incoming.setdefault(source, _Incoming()).under_way.append((request, data))
                messages += self._arrived(source, MAX_PER_POLL - len(messages))
        except self._mpi.Exception as error:
            self._acknowledge(error)
        return messages

    def _arrived(self, source: int, at_most: int) -> list[tuple[int, Any]]:
        """What has arrived whole from a rank, in order."""
        incoming = self._incoming[source]
        found: list[Any] = []
        while incoming.under_way and len(found) < at_most and incoming.under_way[0][0].Test():
            message = pickle.loads(incoming.under_way.popleft()[1])
            if isinstance(message, Announcement):
                large = LargeMessage(source, message.sizes)
                self._announced.append(large)
                incoming.waiting.append(large)
            elif incoming.waiting and not isinstance(message, Heartbeat):  # a rank whose rows wait here is not silent
                incoming.waiting.append(message)
            else:
                found.append(message)
        while incoming.waiting and len(found) < at_most:
            message = incoming.waiting[0]
            if isinstance(message, LargeMessage):
                if not message.has_arrived():
                    break
                self._begun.remove(message)
                message = message.message()
            incoming.waiting.popleft()
            found.append(message)
        if not incoming.under_way and not incoming.waiting:
            del self._incoming[source]
        return [(source, message) for message in found]

    def _begin_announced(self) -> None:
        """Large messages get their memory in the order of their announcements, as far as there is room for them.

        What comes from a forgotten rank takes no room from others, since it may never arrive.
        """
        while self._announced:
            large = self._announced[0]
            under_way = sum(other.size for other in self._begun if other.source not in self._forgotten)
            has_room = not under_way or under_way + large.size <= MAX_LARGE_BYTES
            if not has_room and large.source not in self._forgotten:
                return
            self._announced.popleft()
            self._begun.append(large)
            large.begin(self._comm, self._mpi.BYTE)

    def forget(self, rank: int) -> None:
        self._forgotten.add(rank)

    def remember(self, rank: int) -> None:
        self._forgotten.discard(rank)

    def _abandon_dead(self) -> None:
        """Here and not where a failure is noticed, since that may be in another thread."""
        for rank in self._failed:
            if rank in self._incoming:
                self._abandoned.append(self._incoming.pop(rank))
                self._announced = deque(large for large in self._announced if large.source != rank)
                self._begun = [large for large in self._begun if large.source != rank]

    def allgather_on_node(self, value: object) -> tuple[int, list[Any]]:
        data = pickle.dumps(value, protocol=5)
        try:
            found = self._node.allgather((data, zlib.crc32(data)))
            if any(zlib.crc32(data) != crc for data, crc in found):
                raise ValueError("what came is not what was sent")
            return self._node.Get_rank(), [pickle.loads(data) for data, _ in found]
        except self._mpi.Exception as error:
            self._acknowledge(error)
            raise StoppedEarly("a rank was lost while the ranks registered") from error
        except Exception as error:  # where one dies MPI may give the others anything, and that may raise anything
            self._is_broken = True
            raise StoppedEarly(f"a rank was lost while the ranks registered ({error})") from error

    def take_failed(self) -> list[int]:
        failed = self._failed[self._reported :]
        self._reported = len(self._failed)
        return failed

    def close(self) -> None:
        until = time.monotonic() + SEND_TIMEOUT_SECONDS
        try:
            while self._sends and time.monotonic() < until:
                self._complete()
                time.sleep(0.001)
            if self._sends:
                logger.warning("messages were not taken within %g s (send_timeout)", SEND_TIMEOUT_SECONDS)
        except self._mpi.Exception:
            self._is_broken = True

    def _complete(self) -> None:
        with self._lock:
            while self._sends:
                try:
                    if not self._sends[0][0].Test():
                        return
                except self._mpi.Exception as error:
                    self._acknowledge(error)
                self.unsent_bytes -= len(self._sends.popleft()[1])

    def _acknowledge(self, error: "MPI.Exception") -> None:
        """Takes note of dead ranks. Raises `error` again where it is about something else."""
        failed = (self._mpi.ERR_PROC_FAILED, self._mpi.ERR_PROC_FAILED_PENDING)
        if error.Get_error_class() not in failed:
            raise error
        with self._lock:
            group = self._comm.Get_failed()
            self._comm.Ack_failed(group.Get_size())
            ranks = group.Translate_ranks(None, self._comm.Get_group())
            for rank in ranks:
                if rank not in self._failed:
                    self._failed.append(rank)
