"""The ranks that work, as rank 0 sees them: what they say, what they are told, and who is where in its life.

    transport.receive, own worker.poll --poll--> (rank, message)          send --> transport.send, own worker.handle
    results of planning <--while_planning-- transport.receive             what else comes meanwhile waits for poll
    MPI's failures, silence --take_failed, suspected--> ranks             heartbeats --> all that have not exited

What a rank says that was declared lost does not count any more: what it did was given to others. One that was only
silent, and speaks again, is taken back once it has begun anew:

    any message of its --Rejoin(number)--> it forgets its tasks --Rejoined(number)--> poll
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mpibatch.liveness import timers
from mpibatch.liveness.deadman import DeadmanSwitch
from mpibatch.liveness.failure_detector import FailureDetector
from mpibatch.mpi.heartbeat_thread import HeartbeatThread
from mpibatch.mpi.messages import Registered
from mpibatch.mpi.parallel_map import PlanningTransport
from mpibatch.mpi.transport import Transport
from mpibatch.worker.messages import Heartbeat, NewSchema, Order, Rejoin, Rejoined, Shutdown
from mpibatch.worker.worker import Worker

logger = logging.getLogger(__name__)


class WorkerPool:
    """All workers of one run.

    members:      ranks that own a worker
    worker:       rank 0's own, None if it does not work or found no place for one
    rank_timeout: seconds of silence after which a rank is lost
    """

    def __init__(
        self,
        transport: Transport,
        members: Sequence[int],
        worker: Worker | None,
        deadman: DeadmanSwitch,
        rank_timeout: float,
    ) -> None:
        self._transport = transport
        self.while_planning = PlanningTransport(transport, self.turned)
        self.members = frozenset(members)
        self._worker = worker
        self._deadman = deadman
        self.rank_timeout = rank_timeout
        self._detector = FailureDetector(rank for rank in range(transport.size) if rank)
        self._registered: dict[int, Registered] = {}
        self._ready: set[int] = set()
        self._retired: set[int] = set()
        self._exited: set[int] = set()
        self._lost: set[int] = set()
        self._rejoining: dict[int, int] = {}  # ranks that were told to begin anew, the number of the order
        self._orders_to_rejoin = 0
        self._has_lost_any = False
        self._is_ending = False
        limit = timers.deadman_timeout(0, rank_timeout)
        self._heartbeat = HeartbeatThread(lambda: deadman.arm(limit, "deadman"), self._send_heartbeats, rank_timeout)

    def listen(self) -> None:
        """The plan is made. Before, nobody could be heard regularly: silence counts from now on."""
        for rank in range(1, self._transport.size):
            self._detector.heartbeat(rank)

    # -- who is where

    @property
    def ranks(self) -> int:
        """All of them."""
        return self._transport.size

    @property
    def ready_ranks(self) -> int:
        """How many ranks have an executor whose init() is done."""
        return len(self._ready)

    @property
    def has_workers(self) -> bool:
        """Whether any rank works, or may still."""
        return not self.members <= self._retired | self._lost

    @property
    def all_exited(self) -> bool:
        return self._exited >= self.members

    def exited(self, rank: int) -> bool:
        return rank in self._exited

    def host(self, rank: int) -> str:
        """The host of a rank, in words where it has not registered."""
        return self._registered[rank].host if rank in self._registered else "its host"

    def is_registered(self, rank: int) -> bool:
        return rank in self._registered

    def register(self, rank: int, info: Registered) -> list[Registered] | None:
        """Notes where a rank is; all of them, in rank order, once the last has registered."""
        self._registered[rank] = info
        if info.problem and not rank:
            self._exited.add(rank)
        if len(self._registered) < self._transport.size:
            return None
        return [self._registered[rank] for rank in sorted(self._registered)]

    def on_ready(self, rank: int) -> None:
        self._ready.add(rank)

    def on_retired(self, rank: int) -> None:
        self._retired.add(rank)
        self._ready.discard(rank)

    def on_exited(self, rank: int) -> None:
        self._exited.add(rank)

    def on_lost(self, rank: int) -> None:
        self._has_lost_any = True
        self._lost.add(rank)
        self._exited.add(rank)
        self._ready.discard(rank)
        self._detector.remove(rank)
        self._transport.forget(rank)

    def _take_back(self, rank: int) -> None:
        del self._rejoining[rank]
        self._lost.discard(rank)
        self._exited.discard(rank)
        self._detector.add(rank)
        self._transport.remember(rank)

    # -- messages

    @property
    def library(self) -> str:
        """The MPI library and its version, for the record."""
        return self._transport.library

    @property
    def is_busy(self) -> bool:
        return self._transport.is_busy

    def fds(self) -> list[int]:
        """For select: readable when rank 0's own worker has something to report."""
        return self._worker.fds() if self._worker is not None else []

    def poll(self) -> list[tuple[int, Any]]:
        """What the ranks have sent since the last call."""
        messages = self.while_planning.take_others() + self._transport.receive()
        if self._worker is not None:
            messages += [(0, report) for report in self._worker.poll()]
        for rank, _ in messages:
            self._detector.heartbeat(rank)
        return [(rank, message) for rank, message in messages if rank not in self._lost or self._counts(rank, message)]

    def _counts(self, rank: int, message: Any) -> bool:
        """What a rank that was lost says: nothing until it has begun anew, but for schemas, which it says but once."""
        if isinstance(message, Rejoined) and message.number == self._rejoining.get(rank):
            self._take_back(rank)
            return True
        if rank not in self._rejoining and not self._is_ending:
            self._orders_to_rejoin += 1
            self._rejoining[rank] = self._orders_to_rejoin
            self._transport.send(rank, Rejoin(self._orders_to_rejoin))
        return isinstance(message, NewSchema)

    def take_failed(self) -> list[int]:
        """Ranks that MPI has seen dying since the last call and that had not exited."""
        failed = self.while_planning.take_known_failures() + self._transport.take_failed()
        return [rank for rank in failed if rank not in self._exited]

    def suspected(self) -> list[int]:
        """Ranks that have been silent for `rank_timeout`."""
        return [rank for rank in self._detector.suspected(self.rank_timeout) if rank not in self._exited]

    def send(self, rank: int, order: Order) -> None:
        if rank:
            self._transport.send(rank, order)
        elif self._worker is not None:
            self._worker.handle(order)

    def send_to_all(self, order: Order) -> None:
        """To all that are not lost."""
        for rank in sorted(self.members - self._lost):
            self.send(rank, order)

    @contextmanager
    def heartbeats(self) -> Iterator[None]:
        """While it lasts, or until `leave_behind`, the others and the own deadman process hear that rank 0 lives."""
        if self._transport.size == 1:  # nobody waits for the only one
            yield
            return
        with self._heartbeat.running():
            yield

    def turned(self) -> None:
        """Rank 0 goes on: to be called at every turn of a loop."""
        self._heartbeat.turned()

    def _send_heartbeats(self) -> None:
        for rank in self.members - self._exited - {0}:
            self._transport.send(rank, Heartbeat())

    # -- the end

    def shut_down(self, kill: bool) -> None:
        """Tells all workers to end: at once, or after the script's shutdown()."""
        self._is_ending = True
        self.send_to_all(Shutdown(kill, skip_finalize=self._has_lost_any))

    def leave_behind(self) -> None:
        """Nobody is waited for any more, and what rank 0 still has to do takes as long as it takes."""
        for rank in sorted(self.members - self._exited):
            logger.warning(
                "rank %d has not exited within %g s (shutdown_wait) and is left behind",
                rank,
                timers.SHUTDOWN_WAIT_SECONDS,
            )
        self._heartbeat.stop()
        self._deadman.disarm()
