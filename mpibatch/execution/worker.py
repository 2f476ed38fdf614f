"""A worker: one rank's executor from its first start to its last end, and what happens when it fails.

    Order --handle--> backlog --offer--> executor's queue          outstanding: offered, not answered
                                             |
    Report <--poll---- attempts <------------+--> or its death: results are drained first, only the mini-batch in the
                                                  slot is charged a try, what was not begun goes back to the backlog

No MPI in here: rank 0 owns one directly, the other ranks own theirs between two MPI calls.
"""

import logging
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from mpibatch.execution import blame
from mpibatch.execution.executor import Executor, Life
from mpibatch.execution.messages import (
    Drain,
    GiveBack,
    Gone,
    Joined,
    Leave,
    Order,
    Report,
    Results,
    Retired,
    Returned,
    Run,
    SchemaSeen,
    Stumbled,
)
from mpibatch.execution.parts import Parts, schema_id
from mpibatch.execution.protocol import FrameType, Task
from mpibatch.execution.slot import Reading
from mpibatch.execution.watchdog import AT_WORK, Attention, Overrun, TimeLimits, Watchdog
from mpibatch.output.base import Encoded, Encoder
from mpibatch.types import ATTEMPT, UNKNOWN, Cause, Failure, Phase, decode_failures, encode_failures

logger = logging.getLogger(__name__)

INDEX = struct.Struct("<q")  # the first field of an ATTEMPT record
ATTEMPT_FRAME = int(FrameType.ATTEMPT)
STARTS_IN_VAIN = 3  # in a row, before the rank retires


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """rank, host: for messages; limits: of the watchdog; recycle: mini-batches per executor, 0 for no limit."""

    rank: int
    host: str
    limits: TimeLimits
    recycle: int = 0


class Worker:
    """Owns executors made by `start`, one after another; the first starts at construction."""

    def __init__(self, settings: WorkerSettings, start: Callable[[], Executor], encoder: Encoder) -> None:
        self._settings = settings
        self._start_executor = start
        self._encoder = encoder
        self._backlog: deque[Task] = deque()
        self._outstanding: dict[int, Task] = {}
        self._parts: Parts | None = None
        self._schemas: dict[int, bytes] = {0: b""}
        self._reports: list[Report] = []
        self._records: list[bytes] = []
        self._data: list[bytes] = []
        self._ready = False
        self._joined = False
        self._in_vain = 0
        self._refused: Failure | None = None
        self._overrun: Overrun | None = None
        self._offered = 0
        self._group = 1
        self._drain_until: float | None = None
        self._leaving = False
        self._over = False
        self._attention = Attention(settings.limits.load, time.monotonic())
        self._executor: Executor | None = None
        self._watchdog: Watchdog | None = None
        self._start()

    @property
    def over(self) -> bool:
        """Whether it has left or retired, and owns no process any more."""
        return self._over and self._executor is None

    def descriptors(self) -> list[int]:
        """For select: readable when poll has something to do."""
        return self._executor.descriptors() if self._executor is not None else []

    def handle(self, order: Order) -> None:
        """Takes an order; what comes of it is reported by poll."""
        match order:
            case Run(mini_batches, tries, group, isolate):
                self._group = group
                self._backlog.extend([Task(mini_batch, tries, isolate=isolate) for mini_batch in mini_batches])
                if self._over:
                    self._give_back(list(self._backlog), asked=False)
                    self._backlog.clear()
            case GiveBack(count):
                self._pull_back()
                given = [self._backlog.pop() for _ in range(min(count, len(self._backlog)))]
                self._give_back(given, asked=True)
            case Drain(grace):
                self._pull_back()
                self._give_back(list(self._backlog), asked=False)
                self._backlog.clear()
                self._drain_until = time.monotonic() + grace
            case Leave(at_once, _):
                self._leave(at_once)
        self._fill()

    def poll(self) -> list[Report]:
        """Reads what the executor has to say, restarts it if it has died, keeps its queue full."""
        executor = self._executor
        if executor is not None:
            life = executor.look()
            self._read(executor)
            asked = executor.is_to_end or bool(self._ready and self._outstanding)
            if life is Life.ENDED:
                self._bury(executor)
            elif life is Life.STUCK:
                self._retire_stuck(executor)
            elif self._drain_until is not None and time.monotonic() > self._drain_until and self._outstanding:
                executor.kill("the run is stopping and its grace is over")
            elif self._attention.is_over(executor.slot.read, asked, time.monotonic()):
                executor.kill("it has done nothing for load_timeout (was it stopped by a signal?)")
        self._fill()
        return self._take_reports()

    def kill(self) -> None:
        """Ends the executor for good, from any state; returns when it is gone (or after STUCK_SECONDS)."""
        self._leave(at_once=True)
        while not self.over:
            self.poll()
            time.sleep(0.005)

    # -- the queue

    def _fill(self) -> None:
        executor = self._executor
        if executor is None or not self._ready or self._drain_until is not None:
            return
        while self._backlog and self._parts is None and (room := self._room(executor)):
            if self._backlog[0].isolate:
                if not self._outstanding:
                    self._isolate(self._backlog.popleft())
                return
            group = list(islice(self._backlog, min(room, self._group)))
            if any(task.isolate for task in group):
                group = group[:1]
            if not executor.offer(group):
                return
            self._offered += len(group)
            for task in group:
                self._backlog.popleft()
                self._outstanding[task.mini_batch.index] = task

    def _isolate(self, task: Task) -> None:
        """Begins with the first part of a mini-batch that failed its last try."""
        self._outstanding[task.mini_batch.index] = task
        rank, host = self._settings.rank, self._settings.host
        self._parts = Parts(task.mini_batch, task.tries, task.isolate, rank, host, time.time())
        self._next_part()

    def _room(self, executor: Executor) -> int:
        """How many more mini-batches this executor may have; when it has had its share, it is replaced."""
        if not self._settings.recycle:
            return self._group
        left = self._settings.recycle - self._offered
        if not left and not self._outstanding:
            self._ready = False
            executor.close_queue()
        return left

    def _next_part(self) -> None:
        """Goes on with the mini-batch under isolation, or reports what it has come to."""
        assert self._parts is not None
        if not self._ready:
            return  # the new executor is not there yet; READY comes back here
        task = self._parts.next()
        if task is not None:
            assert self._executor is not None
            self._executor.offer([task])
            return
        record, rows, failure = self._parts.outcome(self._encoder)
        schema = schema_id(rows.schema)
        if rows.data and schema not in self._schemas:
            self._schema(schema, rows.schema)
        del self._outstanding[self._parts.mini_batch.index]
        self._parts = None
        self._note(record, rows.data + failure)

    def _pull_back(self) -> None:
        """Everything not begun is in the backlog again, in order."""
        if self._executor is not None and self._parts is None:
            taken = [self._outstanding.pop(task.mini_batch.index) for task in self._executor.take_back()]
            self._offered -= len(taken)
            self._backlog.extendleft(reversed(taken))

    def _give_back(self, given: list[Task], asked: bool) -> None:
        if given or asked:
            self._flush()
            self._reports.append(Returned([granted.mini_batch.index for granted in given], asked))

    # -- results

    def _read(self, executor: Executor) -> None:
        arrived = executor.read()
        data, outstanding = arrived.data, self._outstanding
        for kind, start, end in arrived.frames:
            if kind == ATTEMPT_FRAME:
                index = INDEX.unpack_from(data, start)[0]
                self._in_vain = 0
                if executor.spilling:
                    executor.forget(index)
                if self._parts is not None:
                    self._part_ended(data[start:end])
                elif outstanding.pop(index, None) is not None:
                    self._note(data[start : start + ATTEMPT.size], data[start + ATTEMPT.size : end])
            else:
                self._hear(FrameType(kind), data[start:end], executor)

    def _hear(self, kind: FrameType, body: bytes, executor: Executor) -> None:
        if kind is FrameType.SCHEMA:
            self._schema(int.from_bytes(body[:4], "little"), body[4:])
        elif kind is FrameType.READY:
            self._ready = True
            if not self._joined:
                self._joined = True
                self._reports.append(Joined(time.monotonic() - executor.started))
            if self._parts is not None:
                self._next_part()
        elif kind is FrameType.REFUSED:
            self._refused = decode_failures(body)[0]

    def _part_ended(self, body: bytes) -> None:
        assert self._parts is not None
        _, _, succeeded, row_bytes, _, schema, _, cause, *_, load, run, encode = ATTEMPT.unpack_from(body)
        rows = Encoded(succeeded, body[ATTEMPT.size : ATTEMPT.size + row_bytes], self._schemas[schema])
        failure = body[ATTEMPT.size + row_bytes :]
        self._parts.ended(Cause(cause), succeeded, load + run + encode, rows, failure)
        self._next_part()

    def _schema(self, id: int, schema: bytes) -> None:
        self._schemas[id] = schema
        self._flush()
        self._reports.append(SchemaSeen(id, schema))

    def _note(self, record: bytes, data: bytes) -> None:
        self._records.append(record)
        self._data.append(data)

    def _flush(self) -> None:
        if self._records:
            self._reports.append(Results(b"".join(self._records), b"".join(self._data)))
            self._records, self._data = [], []

    def _take_reports(self) -> list[Report]:
        self._flush()
        reports, self._reports = self._reports, []
        return reports

    # -- life and death

    def _start(self) -> None:
        self._ready = False
        self._refused = self._overrun = None
        self._offered = 0
        executor = self._start_executor()
        self._executor = executor

        def end(overrun: Overrun) -> None:  # in the watchdog's thread
            self._overrun = overrun
            executor.kill(str(overrun), dump=True)

        self._watchdog = Watchdog(executor.slot.read, self._settings.limits, executor.started, end)

    def _bury(self, executor: Executor) -> None:
        """An executor has ended, asked or not: who is to blame, and what now."""
        self._read(executor)  # what it finished is drained before anybody is charged
        unbegun = executor.take_back()
        assert self._watchdog is not None
        self._watchdog.stop()
        expected = self._leaving or (self._may_be_replaced() and executor.status == 0)
        reading = executor.slot.read()
        if self._overrun is not None and reading is not None and not self._overrun.is_at(reading):
            # what overran came back by itself just before the kill: what came next is not to blame
            reading, expected = None, expected or self._overrun.index != UNKNOWN
        if self._outstanding or not expected:
            logger.info("executor %s %s", executor.pid, executor.why_killed or blame.explain_status(executor.status))
        if self._parts is None:
            for task in reversed(unbegun):
                self._backlog.appendleft(self._outstanding.pop(task.mini_batch.index))
        charged = None if reading is None else self._culprit(reading)
        if charged is not None and not self._stopped_by_us():
            assert reading is not None
            self._charge(charged, executor, reading.items, time.monotonic() - reading.since, reading.phase)
        elif self._parts is None:
            self._backlog.extendleft(reversed(self._outstanding.values()))
            self._outstanding.clear()
        else:
            self._parts.again()
        self._executor = None
        executor.close()
        if (
            self._leaving
            or self._drain_until is not None
            or (charged is None and not expected and self._give_up(executor))
        ):
            self._end()
        else:
            self._start_again()

    def _culprit(self, reading: Reading) -> Task | None:
        """The mini-batch that a dead executor was at. One whose attempt had been sent whole is not outstanding."""
        if reading.phase not in (*AT_WORK, Phase.SEND) or (self._parts is not None and not self._parts.is_at(reading)):
            return None
        return self._outstanding.get(reading.index)

    def _start_again(self) -> None:
        try:
            self._start()
        except OSError as error:  # the run directory is gone or full, or there is no room for a process
            text = f"no executor can be started any more: {error}"
            self._reports.append(Retired(Failure("init", text, rank=self._settings.rank, host=self._settings.host)))
            self._end()

    def _may_be_replaced(self) -> bool:
        recycle = self._settings.recycle
        return bool(recycle) and self._offered >= recycle and not self._outstanding

    def _stopped_by_us(self) -> bool:
        return self._overrun is None and (self._leaving or self._drain_until is not None)

    def _charge(self, granted: Task, executor: Executor, items: int, seconds: float, phase: Phase) -> None:
        """The mini-batch in the slot of a dead executor has had an attempt."""
        self._in_vain = 0
        index = granted.mini_batch.index
        rank, host = self._settings.rank, self._settings.host
        cause, failure = blame.at_work(granted, self._overrun, executor.status, phase, rank, host)
        encoded = encode_failures([failure])
        if self._parts is not None:
            self._parts.ended(cause, 0, seconds, Encoded(0, b""), encoded)
            return
        del self._outstanding[index]
        self._backlog.extendleft(reversed(self._outstanding.values()))
        self._outstanding.clear()
        record = ATTEMPT.pack(
            index, items, 0, 0, len(encoded), 0, self._settings.rank, cause, granted.tries, 0,
            time.time() - seconds, 0.0, seconds, 0.0,
        )  # fmt: skip
        self._note(record, encoded)

    def _give_up(self, executor: Executor) -> bool:
        """After an end that no mini-batch is to blame for: whether that was once too often."""
        self._in_vain += 1
        why, rank, host = executor.why_killed, self._settings.rank, self._settings.host
        failure = self._refused or blame.at_nothing(why, executor.status, rank, host)
        self._flush()
        last = self._in_vain >= STARTS_IN_VAIN
        self._reports.append(Retired(failure) if last else Stumbled(failure))
        return last

    def _retire_stuck(self, executor: Executor) -> None:
        failure = blame.stuck(executor.pid, executor.waits_on(), self._settings.rank, self._settings.host)
        self._flush()
        self._reports.append(Retired(failure))
        self._executor = None
        self._end()

    def _leave(self, at_once: bool) -> None:
        self._leaving = True
        self._backlog.clear()
        executor = self._executor
        if executor is None:
            self._end()
        elif at_once or not self._ready:
            executor.kill("the run is over")
        else:
            executor.close_queue()

    def _end(self) -> None:
        """No executor, and none to come."""
        self._flush()
        left = [*self._outstanding.values(), *self._backlog]
        self._outstanding.clear()
        self._backlog.clear()
        self._give_back(left, asked=False)
        if self._leaving:
            self._reports.append(Gone())
        self._over = True
