"""Messages between ranks: frozen dataclasses in, frozen dataclasses out, never blocking.

    send --pickle--> isend, completed by later calls          receive <-- improbe, mrecv

Pickle is safe here: both ends are one program of one user, started together. Sends are non-blocking and every rank
always receives, since two ranks that block in large sends to each other would hang. A run of one rank needs no MPI.
"""

import pickle
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from mpibatch.errors import StoppedEarly

if TYPE_CHECKING:
    from mpi4py import MPI

TAG = 7
CLOSE_SECONDS = 10.0
AT_MOST = 64  # messages taken in one go, so that what they cause is not put off


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
    def sending(self) -> bool:
        """Whether a send is under way: MPI makes progress only when it is called."""

    def send(self, to: int, message: object) -> None: ...

    def receive(self) -> list[tuple[int, Any]]:
        """What has arrived, each with the rank that sent it."""

    def gather_on_host(self, value: object) -> tuple[int, list[Any]]:
        """This rank's place among the ranks of its host, and what each of them gave. All ranks call it together.

        Raises StoppedEarly where one of them has died.
        """

    def take_lost(self) -> list[int]:
        """Ranks that have died since the last call, as far as this MPI tells (ULFM)."""

    @property
    def broken(self) -> bool:
        """Whether a rank was ever lost: MPI_Finalize may then hang."""

    def close(self) -> None:
        """Completes what is under way. The last call."""


class Solo:
    """The one rank of a run that needs no MPI."""

    rank = 0
    size = 1
    library = "none: one rank"
    sending = False
    broken = False

    def send(self, to: int, message: object) -> None:
        raise AssertionError(f"no rank {to} in a run of one")

    def receive(self) -> list[tuple[int, Any]]:
        return []

    def gather_on_host(self, value: object) -> tuple[int, list[Any]]:
        return 0, [value]

    def take_lost(self) -> list[int]:
        return []

    def close(self) -> None:
        pass


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
        except MPI.Exception as error:  # mostly of class ERR_PROC_FAILED
            raise StoppedEarly(f"a rank was lost while MPI started ({error})") from error
        self._comm.Set_errhandler(MPI.ERRORS_RETURN)  # mpi4py makes exceptions of what is returned
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()
        self.library = MPI.Get_library_version().splitlines()[0].strip()
        self._sends: deque[tuple[MPI.Request, bytes]] = deque()
        self._lost: list[int] = []  # all, in the order of their acknowledgement
        self._told = 0
        self._is_broken = False

    @property
    def sending(self) -> bool:
        return bool(self._sends)

    @property
    def broken(self) -> bool:
        return self._is_broken or bool(self._lost)

    def send(self, to: int, message: object) -> None:
        data = pickle.dumps(message, protocol=5)
        try:
            self._sends.append((self._comm.Isend([data, self._mpi.BYTE], to, TAG), data))
        except self._mpi.Exception as error:
            self._acknowledge(error)

    def receive(self) -> list[tuple[int, Any]]:
        self._complete()
        status = self._mpi.Status()
        messages: list[tuple[int, Any]] = []
        while len(messages) < AT_MOST:
            try:
                matched = self._comm.Improbe(self._mpi.ANY_SOURCE, TAG, status)
                if matched is None:
                    break
                data = bytearray(status.Get_count(self._mpi.BYTE))
                matched.Recv([data, self._mpi.BYTE])
            except self._mpi.Exception as error:
                self._acknowledge(error)
                break
            messages.append((status.Get_source(), pickle.loads(data)))
        return messages

    def gather_on_host(self, value: object) -> tuple[int, list[Any]]:
        try:
            here = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
            values = here.allgather(value)
            place = here.Get_rank()
            here.Free()
        except self._mpi.Exception as error:
            self._acknowledge(error)
            raise StoppedEarly("a rank was lost while the ranks took their seats") from error
        return place, values

    def take_lost(self) -> list[int]:
        lost = self._lost[self._told :]
        self._told = len(self._lost)
        return lost

    def close(self) -> None:
        until = time.monotonic() + CLOSE_SECONDS
        try:
            while self._sends and time.monotonic() < until:
                self._complete()
                time.sleep(0.001)
        except self._mpi.Exception:
            self._is_broken = True

    def _complete(self) -> None:
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
        group = self._comm.Get_failed()
        self._comm.Ack_failed(group.Get_size())
        ranks = group.Translate_ranks(None, self._comm.Get_group())
        self._lost += [rank for rank in ranks if rank not in self._lost]
