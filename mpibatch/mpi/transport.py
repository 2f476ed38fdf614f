"""Messages between ranks: frozen dataclasses in, frozen dataclasses out, never blocking.

    send --pickle--> isend of each piece, completed by later calls       receive <-- pieces <-- improbe, imrecv

Nothing here waits for another rank: one that dies or is stopped in the middle of a message leaves a part of it, and the
messages of others go on. Messages of one rank arrive in the order in which they were sent.

Pickle is safe here: both ends are one program of one user, started together. Sends are non-blocking and every rank
always receives, since two ranks that block in large sends to each other would hang. A run of one rank needs no MPI.
Heartbeats are sent from a thread of their own; everything else is for the thread of the loop.
"""

import logging
import pickle
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mpibatch.errors import StoppedEarly
from mpibatch.liveness.timers import SEND_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from mpi4py import MPI

logger = logging.getLogger(__name__)

TAG = 7  # of a message, or of its last piece: the communicator is mpibatch's own
PIECE_TAG = 8  # of a piece that others follow
PIECE_BYTES = 32 << 20  # MPI's counts end at 2 GiB
MAX_PER_POLL = 64  # messages taken in one go, so that what they cause is not put off
MAX_BYTES_PER_POLL = 64 << 20  # and about so many bytes


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

    def send(self, to: int, message: object) -> None:
        """From any thread."""

    def receive(self) -> list[tuple[int, Any]]:
        """What has arrived, each with the rank that sent it."""

    def forget(self, rank: int) -> None:
        """A rank that is lost, or silent, is heard no more, also where it goes on in the middle of a message."""

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
    has_failures = False

    def send(self, to: int, message: object) -> None:
        raise AssertionError(f"no rank {to} in a run of one")

    def receive(self) -> list[tuple[int, Any]]:
        return []

    def forget(self, rank: int) -> None:
        pass

    def allgather_on_node(self, value: object) -> tuple[int, list[Any]]:
        return 0, [value]

    def take_failed(self) -> list[int]:
        return []

    def close(self) -> None:
        pass


@dataclass(slots=True)
class _Incoming:
    """From one rank. under_way: {request, tag, buffer}, in order; pieces: of the message that is next, those there."""

    under_way: "deque[tuple[MPI.Request, int, bytearray]]" = field(default_factory=deque)
    pieces: list[bytearray] = field(default_factory=list)


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
        self._deferred: deque[tuple[int, bytes]] = deque()  # what other threads send through an MPI that lets none
        self._sends: deque[tuple[MPI.Request, memoryview]] = deque()
        self._incoming: dict[int, _Incoming] = {}
        self._forgotten: set[int] = set()  # what comes from them is taken, since MPI keeps it else, and dropped
        self._abandoned: list[_Incoming] = []  # of the dead: MPI may write into their buffers still
        self._failed: list[int] = []  # all, in the order of their acknowledgement
        self._reported = 0
        self._close_failed = False

    @property
    def is_busy(self) -> bool:
        return bool(self._sends or self._incoming.keys() - self._forgotten)

    @property
    def has_failures(self) -> bool:
        return self._close_failed or bool(self._failed)

    def send(self, to: int, message: object) -> None:
        data = pickle.dumps(message, protocol=5)
        if not self._is_thread_safe and threading.current_thread() is not self._owner:
            self._deferred.append((to, data))
        else:
            self._send(to, data)

    def _send(self, to: int, data: bytes) -> None:
        whole = memoryview(data)
        last = max(0, len(data) - 1) // PIECE_BYTES
        with self._lock:  # no heartbeat comes between the pieces
            try:
                for number in range(last + 1):
                    piece = whole[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]
                    tag = TAG if number == last else PIECE_TAG
                    self._sends.append((self._comm.Isend([piece, self._mpi.BYTE], to, tag), piece))
            except self._mpi.Exception as error:
                self._acknowledge(error)

    def receive(self) -> list[tuple[int, Any]]:
        self._complete()
        while self._deferred:
            self._send(*self._deferred.popleft())
        status = self._mpi.Status()
        messages: list[tuple[int, Any]] = []
        size = 0
        try:
            for source in list(self._incoming):
                messages += self._arrived(source, MAX_PER_POLL - len(messages))
            while len(messages) < MAX_PER_POLL and size < MAX_BYTES_PER_POLL:
                matched = self._comm.Improbe(self._mpi.ANY_SOURCE, self._mpi.ANY_TAG, status)
                if matched is None:
                    break
                source, tag, data = status.Get_source(), status.Get_tag(), bytearray(status.Get_count(self._mpi.BYTE))
                size += len(data)
                request = matched.Irecv([data, self._mpi.BYTE])
                self._incoming.setdefault(source, _Incoming()).under_way.append((request, tag, data))
                messages += self._arrived(source, MAX_PER_POLL - len(messages))
        except self._mpi.Exception as error:
            self._acknowledge(error)
        return messages

    def _arrived(self, source: int, at_most: int) -> list[tuple[int, Any]]:
        """What has arrived whole from a rank, in order."""
        incoming = self._incoming[source]
        found: list[tuple[int, Any]] = []
        while incoming.under_way and len(found) < at_most and incoming.under_way[0][0].Test():
            _, tag, data = incoming.under_way.popleft()
            if source in self._forgotten:
                continue
            incoming.pieces.append(data)
            if tag == TAG:
                whole = incoming.pieces[0] if len(incoming.pieces) == 1 else b"".join(incoming.pieces)
                incoming.pieces.clear()
                found.append((source, pickle.loads(whole)))
        if not incoming.under_way and not incoming.pieces:
            del self._incoming[source]
        return found

    def forget(self, rank: int) -> None:
        self._forgotten.add(rank)
        if rank in self._incoming:
            self._incoming[rank].pieces.clear()

    def allgather_on_node(self, value: object) -> tuple[int, list[Any]]:
        try:
            return self._node.Get_rank(), self._node.allgather(value)
        except self._mpi.Exception as error:
            self._acknowledge(error)
            raise StoppedEarly("a rank was lost while the ranks registered") from error

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
            self._close_failed = True

    def _complete(self) -> None:
        with self._lock:
            while self._sends:
                try:
                    if not self._sends[0][0].Test():
                        return
                except self._mpi.Exception as error:
                    self._acknowledge(error)
                self._sends.popleft()

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
                    if rank in self._incoming:
                        self._abandoned.append(self._incoming.pop(rank))
