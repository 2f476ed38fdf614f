"""Planning on all ranks: a `map` whose function is applied wherever a rank waits for work.

    rank 0:  ParallelMap(function, arguments) --MapFunction, MapTask--> another rank: MapServer
             results, in order <----------------- MapResult --------------------------+
             other messages, of executors that start meanwhile --PlanningTransport--> for later

The footers of a million files, or the quotes in a terabyte of text, take one rank too long. Rank 0 takes part, and
works alone at first: most plans are made in less time than the other ranks need to import what reads the data. A
task whose result is late it runs itself, so that a rank that was stopped or lost costs time and nothing else.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mpibatch.errors import InputError, MpibatchError
from mpibatch.liveness.timers import SPECULATE_AFTER_SECONDS
from mpibatch.mpi.backoff import Backoff
from mpibatch.mpi.transport import Transport
from mpibatch.worker.messages import Heartbeat

logger = logging.getLogger(__name__)

SOLO_SECONDS = 0.5
PREFETCH = 2  # tasks at a rank at a time: one it works on, one that waits
MAX_BUFFERED = 4096
Function = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class MapFunction:
    """Rank 0 to another: the function of the tasks with this `map_id`. Sent once, since it may be large."""

    map_id: int
    function: Function


@dataclass(frozen=True, slots=True)
class MapTask:
    """Rank 0 to another: apply the function to `argument`, which is number `index`."""

    map_id: int
    index: int
    argument: Any


@dataclass(frozen=True, slots=True)
class MapResult:
    """value: of the function; error: what it raised instead."""

    map_id: int
    index: int
    value: Any
    error: MpibatchError | None = None


class MapServer:
    """The other ranks' side."""

    def __init__(self) -> None:
        self._function: MapFunction | None = None

    def handle(self, message: object) -> MapResult | None:
        """The result of a MapTask; None for any other message."""
        if isinstance(message, MapFunction):
            self._function = message
        if not isinstance(message, MapTask) or self._function is None:
            return None
        try:
            return _evaluate(self._function.function, message)
        except Exception as error:
            logger.exception("planning")
            explained = InputError(f"an input could not be looked at: {type(error).__name__}: {error}")
            return MapResult(message.map_id, message.index, None, explained)


def _evaluate(function: Function, task: MapTask) -> MapResult:
    try:
        return MapResult(task.map_id, task.index, function(task.argument))
    except MpibatchError as error:
        return MapResult(task.map_id, task.index, None, error)


class PlanningTransport:
    """The way to the other ranks while rank 0 plans: results are taken, and what is for others is kept for them.

    turned: called now and then, as the plan comes along
    """

    def __init__(self, transport: Transport, turned: Callable[[], None] = lambda: None) -> None:
        self._transport = transport
        self._turned = turned
        self._others: list[tuple[int, Any]] = []
        self._failed: list[int] = []
        self.size = transport.size

    @property
    def is_busy(self) -> bool:
        return self._transport.is_busy

    def send(self, to: int, message: object) -> None:
        self._transport.send(to, message)

    def receive(self) -> list[tuple[int, MapResult]]:
        """Results that have arrived, each with the rank that sent it."""
        self._turned()
        messages = self._transport.receive()
        self._others += [one for one in messages if not isinstance(one[1], MapResult | Heartbeat)]
        return [one for one in messages if isinstance(one[1], MapResult)]

    def take_failed(self) -> list[int]:
        """Ranks that have died since the last call."""
        failed = self._transport.take_failed()
        self._failed += failed
        return failed

    def take_others(self) -> list[tuple[int, Any]]:
        """Messages that were no results, but for heartbeats."""
        others, self._others = self._others, []
        return others

    def take_known_failures(self) -> list[int]:
        """Ranks that were found to have died while something else was asked."""
        failed, self._failed = self._failed, []
        return failed


class ParallelMap:
    """Rank 0's side, to be called as `map` is; the results of one call are to be used up before the next call.

    solo_seconds: seconds that rank 0 works alone; clock: like time.monotonic
    """

    def __init__(
        self,
        transport: PlanningTransport,
        solo_seconds: float = SOLO_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._solo_until = clock() + solo_seconds
        self._helpers = set(range(1, transport.size))
        self._map_id = 0

    def __call__(self, function: Function, arguments: Iterable[Any]) -> Iterator[Any]:
        self._map_id += 1
        call, remaining, wanted, backoff = _MapCall(), enumerate(arguments), 0, Backoff()
        while True:
            if self._clock() > self._solo_until:
                self._send_tasks(call, function, remaining)
            if (result := call.results.pop(wanted, None)) is not None:
                if result.error is not None:
                    raise result.error
                yield result.value
                wanted += 1
                continue
            pending = call.pending.get(wanted)
            task = next(remaining, None) if pending is None or call.has_room else None
            if task is not None:
                self._run_here(call, function, *task)
            elif pending is None:
                return
            elif self._clock() - pending.since > SPECULATE_AFTER_SECONDS + 4 * call.slowest:
                logger.warning(
                    "rank %d is late with a part of the planning; rank 0 does it (speculate_after)", pending.rank
                )
                self._helpers.discard(pending.rank)
                self._run_here(call, function, wanted, pending.argument)
            else:
                backoff.wait([], busy=self._receive(call))

    def _send_tasks(self, call: "_MapCall", function: Function, remaining: Iterator[tuple[int, Any]]) -> None:
        """Keeps the other ranks busy."""
        self._receive(call)
        for rank in sorted(self._helpers):
            while call.wants(rank) and (task := next(remaining, None)) is not None:
                if rank not in call.informed:
                    call.informed.add(rank)
                    self._transport.send(rank, MapFunction(self._map_id, function))
                index, argument = task
                call.pending[index] = _Pending(rank, argument, self._clock())
                call.outstanding[rank] += 1
                self._transport.send(rank, MapTask(self._map_id, index, argument))

    def _receive(self, call: "_MapCall") -> bool:
        """Takes results; returns whether anything has come. A dead rank gets no more tasks; its results are late."""
        messages = self._transport.receive()
        self._helpers.difference_update(self._transport.take_failed())
        for rank, message in messages:
            if message.map_id == self._map_id:
                call.outstanding[rank] -= 1
                if call.pending.pop(message.index, None) is not None:  # else it came late, and was run here
                    call.results[message.index] = message
        return bool(messages) or self._transport.is_busy

    def _run_here(self, call: "_MapCall", function: Function, index: int, argument: Any) -> None:
        """Rank 0 runs one itself."""
        began = self._clock()
        call.pending.pop(index, None)
        call.results[index] = _evaluate(function, MapTask(self._map_id, index, argument))
        call.slowest = max(call.slowest, self._clock() - began)


@dataclass(frozen=True, slots=True)
class _Pending:
    rank: int
    argument: Any
    since: float


@dataclass(slots=True)
class _MapCall:
    """One call: the tasks at each rank, and the results that wait for their turn."""

    pending: dict[int, _Pending] = field(default_factory=dict)
    results: dict[int, MapResult] = field(default_factory=dict)
    outstanding: Counter[int] = field(default_factory=Counter)  # by rank: tasks without a result
    informed: set[int] = field(default_factory=set)
    slowest: float = 0.0

    @property
    def has_room(self) -> bool:
        """For more results out of turn, which wait in memory."""
        return len(self.results) < MAX_BUFFERED

    def wants(self, rank: int) -> bool:
        """Whether `rank` is to get another task."""
        return self.has_room and self.outstanding[rank] < PREFETCH
