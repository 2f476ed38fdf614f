"""A worker: one rank's executor from its first start to its last end, and what happens when it fails.

    Order --handle--> backlog --try_send--> executor's queue       outstanding: sent, not answered
                                             |
    Report <--poll---- attempts <------------+--> or its death: results are drained first, only the mini-batch in the
                                                  status block is charged, what was not begun goes back to the backlog

No MPI in here: rank 0 owns one directly, the other ranks own theirs between two MPI calls.
"""

import logging
import struct
import time
from collections.abc import Callable

from mpibatch import attempts
from mpibatch.attempts import ATTEMPT, AttemptOutcome, Failure, decode_failures, encode_failures
from mpibatch.executor.protocol import FrameType, Task
from mpibatch.executor.status_block import ExecutorStatus
from mpibatch.large import RowData
from mpibatch.output.base import Encoded, Encoder
from mpibatch.types import Phase
from mpibatch.worker import diagnosis
from mpibatch.worker.executor_process import ExecutorProcess, ProcessState
from mpibatch.worker.frame_reader import ReceivedFrames
from mpibatch.worker.guards import Guards
from mpibatch.worker.isolation_run import IsolationRun
from mpibatch.worker.messages import (
    CancelTasks,
    Drain,
    ExecuteTasks,
    ExecutorReplaced,
    ExecutorRestarted,
    Order,
    RecallTasks,
    Rejoin,
    Rejoined,
    Report,
    Shutdown,
    WorkerExited,
    WorkerReady,
    WorkerRetired,
)
from mpibatch.worker.report_buffer import ReportBuffer
from mpibatch.worker.restart_policy import RestartPolicy
from mpibatch.worker.settings import WorkerSettings
from mpibatch.worker.start_policy import StartPolicy
from mpibatch.worker.task_queue import TaskQueue
from mpibatch.worker.watchdog import TASK_PHASES, StallDetector

logger = logging.getLogger(__name__)

INDEX = struct.Struct("<q")  # the first field of an ATTEMPT record
ATTEMPT_FRAME = int(FrameType.ATTEMPT)


class Worker:
    """Owns executors made by `start`, one after another; the first starts at construction."""

    def __init__(self, settings: WorkerSettings, start: Callable[[], ExecutorProcess], encoder: Encoder) -> None:
        self._settings = settings
        self._start_executor = start
        self._encoder = encoder
        self._tasks = TaskQueue()
        self._isolation: IsolationRun | None = None
        self._reports = ReportBuffer()
        self._ready = False
        self._ready_reported = False
        self._restart_policy = RestartPolicy(settings.executor_restart, time.monotonic)
        self._replacing = False
        self._replacement_reported = False
        self._starts = StartPolicy(settings.rank, settings.host, time.monotonic)
        self._init_failure: Failure | None = None
        self._sent = 0
        self._packet_size = 1
        self._drain_until: float | None = None
        self._shutting_down = False
        self._finished = False
        self._stall_detector = StallDetector(settings.timeouts.load, time.monotonic())
        self._executor: ExecutorProcess | None = None
        self._guards: Guards
        self._try_start()

    @property
    def finished(self) -> bool:
        """Whether it has left or retired, and owns no process any more."""
        return self._finished and self._executor is None

    def fds(self) -> list[int]:
        """For select: readable when poll has something to do."""
        return self._executor.fds() if self._executor is not None else []

    def handle(self, order: Order) -> None:
        """Takes an order; what comes of it is reported by poll."""
        match order:
            case ExecuteTasks(mini_batches, tries, packet_size, isolate_items):
                self._packet_size = packet_size
                self._tasks.extend(
                    [Task(mini_batch, tries, isolate_items=isolate_items) for mini_batch in mini_batches]
                )
                if self._finished:
                    self._reports.add_returned(self._tasks.take_backlog(), recalled=False)
            case RecallTasks(count):
                self._recall_queued()
                self._reports.add_returned(self._tasks.take_last(count), recalled=True)
            case CancelTasks(indices):
                self._recall_queued()
                self._tasks.cancel(indices)
            case Drain(grace):
                self._recall_queued()
                self._reports.add_returned(self._tasks.take_backlog(), recalled=False)
                self._drain_until = time.monotonic() + grace
                if self._executor is None:
                    self._finish()
            case Rejoin(number) if not self._finished:  # else it stays lost
                self._begin_anew()
                self._reports.append(Rejoined(number, self._ready_reported))
            case Shutdown(kill, _):
                self._begin_shutdown(kill)
        self._fill()

    def poll(self, reading: bool = True) -> list[Report]:
        """Reads what the executor reports, unless it is to wait; restarts it if it has died, keeps its queue full."""
        executor = self._executor
        if executor is not None:
            executor.reading = reading
            state = executor.poll()
            self._take(executor.read(), executor)
            if self._tasks.cancelled:
                self._guards.end_cancelled(self._tasks.cancelled)
            has_work = reading and (executor.closing or bool(self._ready and self._tasks.outstanding))
            if state is ProcessState.EXITED:
                self._on_executor_exit(executor)
            elif state is ProcessState.UNKILLABLE:
                self._retire_unkillable(executor)
            elif self._drain_until is not None and time.monotonic() > self._drain_until and self._tasks.outstanding:
                executor.kill("the run is stopping, and the time for what still ran is over (grace)")
            elif self._stall_detector.expired(executor.status_block.read, has_work, time.monotonic()):
                executor.kill(self._stall_detector.reason)
        elif self._starts.is_due():
            self._try_start()
        self._fill()
        return self._reports.take()

    def kill(self) -> None:
        """Ends the executor for good, from any state; returns when it is gone (or after UNKILLABLE_AFTER_SECONDS)."""
        self._begin_shutdown(kill=True)
        while not self.finished:
            self.poll()
            time.sleep(0.005)

    # -- the queue

    def _fill(self) -> None:
        executor = self._executor
        if executor is None or not self._ready or self._drain_until is not None:
            return
        while self._tasks.backlog and self._isolation is None and (room := self._room(executor)):
            if self._tasks.first.isolate_items:
                if not self._tasks.outstanding:
                    self._isolate(self._tasks.first)
                return
            packet = self._tasks.next_packet(min(room, self._packet_size))
            if not executor.try_send(packet):
                return
            self._sent += len(packet)
            self._tasks.sent(packet)

    def _isolate(self, task: Task) -> None:
        """Begins with the first part of a mini-batch that failed its last try."""
        self._tasks.sent([task])
        rank, host = self._settings.rank, self._settings.host
        self._isolation = IsolationRun(task.mini_batch, task.tries, task.isolate_items, rank, host, time.time())
        self._next_part()

    def _room(self, executor: ExecutorProcess) -> int:
        """How many more mini-batches this executor may have; when it has had its share, it is replaced."""
        if not self._settings.max_batches_per_executor:
            return self._packet_size
        left = self._settings.max_batches_per_executor - self._sent
        if not left and not self._tasks.outstanding:
            self._replace(executor)
        return left

    def _replace(self, executor: ExecutorProcess) -> None:
        """No more tasks for this executor: it runs the script's shutdown() and ends, and the next one starts."""
        self._replacing = True
        self._ready = False
        executor.close_input()

    def _replace_early(self, executor: ExecutorProcess, why: str) -> None:
        """The process is spoiled, or too large. What it has taken already it still runs."""
        if self._replacing:
            return
        self._recall_queued()
        self._replace(executor)
        logger.info("executor %s is replaced, since %s", executor.pid, why)
        if not self._replacement_reported:
            self._replacement_reported = True
            self._reports.append(ExecutorReplaced(why))

    def _next_part(self) -> None:
        """Starts the next part of the mini-batch under isolation, or reports its result."""
        assert self._isolation is not None
        executor = self._executor
        if executor is None or not self._ready:
            return  # the new executor is not there yet; READY comes back here
        if self._restart_policy.wants_clean and not self._isolation.is_done:
            self._replace(executor)
            return
        task = self._isolation.next_task()
        if task is not None:
            executor.try_send([task])
            return
        record, rows, failure = self._isolation.result(self._encoder)
        if rows.data:
            self._reports.add_schema(attempts.schema_id(rows.schema), rows.schema)
        self._tasks.done(self._isolation.mini_batch.index)
        self._isolation = None
        self._report(record, rows.data + failure)

    def _recall_queued(self) -> None:
        """Everything not begun is in the backlog again, in order."""
        if self._executor is not None and self._isolation is None:
            recalled = self._executor.recall_queued()
            self._sent -= len(recalled)
            self._tasks.requeue(recalled)

    def _begin_anew(self) -> None:
        """Forgets all tasks: others have them. The executor that is at one is ended, and the next one starts."""
        self._recall_queued()
        self._isolation = None
        if self._tasks.outstanding and self._executor is not None:
            self._replacing, self._ready = True, False
            self._executor.kill("rank 0 has given to others what it is at")
        self._tasks.take_all()

    def _take(self, arrived: ReceivedFrames, executor: ExecutorProcess) -> None:
        data, tasks = arrived.data, self._tasks
        for kind, start, end in arrived.frames:
            if kind == ATTEMPT_FRAME:
                index = INDEX.unpack_from(data, start)[0]
                self._starts.on_worked()
                if executor.has_spilled:
                    executor.release(index)
                if self._isolation is not None:
                    self._on_part_done(bytes(data[start:end]))
                elif task := tasks.done(index):
                    record, rest = data[start : start + ATTEMPT.size], data[start + ATTEMPT.size : end]
                    if self._on_attempt(executor, task, record, rest):
                        self._report(record, rest)
            else:
                self._on_frame(FrameType(kind), bytes(data[start:end]), executor)

    def _on_attempt(self, executor: ExecutorProcess, task: Task, record: RowData, rest: RowData) -> bool:
        """Whether the attempt counts; one that does not is made again."""
        policy, succeeded = self._restart_policy, attempts.has_succeeded(record)
        counts = policy.on_attempt(task.mini_batch.index, succeeded)
        if policy.replace_due and not succeeded:
            why = f"mini-batch {task.mini_batch.index} failed in it: {decode_failures(rest)[0].error}"
            self._replace_early(executor, f"{why}. What fails may spoil the process (executor_restart)")
        elif (use := self._guards.memory.replace_due) is not None:
            self._replace_early(executor, f"it uses {use} (replace_above)")
        return counts or self._tasks.put_back(task)

    def _on_frame(self, kind: FrameType, body: bytes, executor: ExecutorProcess) -> None:
        if kind is FrameType.SCHEMA:
            self._reports.add_schema(int.from_bytes(body[:4], "little"), body[4:])
        elif kind is FrameType.READY:
            self._ready = True
            seconds = time.monotonic() - executor.started
            self._restart_policy.on_ready(seconds)
            self._reports.append(ExecutorRestarted(seconds) if self._ready_reported else WorkerReady(seconds))
            self._ready_reported = True
            if self._isolation is not None:
                self._next_part()
        elif kind is FrameType.NAMES and self._isolation is not None:
            self._isolation.on_names(body)
        elif kind is FrameType.INIT_FAILED:
            self._init_failure = decode_failures(body)[0]
            executor.kill("has refused: init() failed")  # with whatever it has started

    def _on_part_done(self, body: bytes) -> None:
        assert self._isolation is not None
        attempt = attempts.unpack(body)
        end = ATTEMPT.size + attempt.row_bytes
        rows = Encoded(attempt.succeeded, body[ATTEMPT.size : end], self._reports.schemas[attempt.schema])
        seconds = attempt.load + attempt.run + attempt.encode
        self._restart_policy.on_attempt(attempt.index, attempt.cause == AttemptOutcome.SUCCEEDED)
        self._isolation.on_part_done(AttemptOutcome(attempt.cause), attempt.succeeded, seconds, rows, body[end:])
        self._next_part()

    def _report(self, record: RowData, data: RowData) -> None:
        """An attempt that counts, with the memory that its executor has used."""
        self._reports.add_attempt(attempts.with_memory(record, self._guards.memory.packed_peak), data)

    # -- life and death

    def _start(self) -> None:
        self._ready = self._replacing = False
        self._restart_policy.on_start()
        self._init_failure = None
        self._sent = 0
        self._executor = self._start_executor()
        self._starts.on_started()
        self._guards = Guards(self._executor, self._settings)

    def _on_executor_exit(self, executor: ExecutorProcess) -> None:
        """An executor has ended, asked or not: who is to blame, and what now."""
        for arrived in executor.drain():  # before anybody is charged
            self._take(arrived, executor)
        unstarted, guards = executor.recall_queued(), self._guards
        guards.stop()
        status, expected = guards.at_fault(expected=self._shutting_down or self._replacing)
        if self._tasks.outstanding or not expected:
            logger.info(
                "executor %s %s", executor.pid, executor.kill_reason or diagnosis.describe_wait_status(executor.status)
            )
        if self._isolation is None:
            self._tasks.requeue(unstarted)
        at_fault = None if status is None else self._task_at_fault(status)
        over = self._shutting_down or self._drain_until is not None
        if at_fault is not None and not (over and guards.expired is None):
            assert status is not None
            self._record_crash(at_fault, executor, status.items, time.monotonic() - status.since, status.phase)
        elif self._isolation is None:
            self._tasks.requeue_all()
        else:
            self._isolation.requeue()
        self._executor = None
        executor.close()
        if over or (at_fault is None and not expected and self._count_failed_start(executor)):
            self._finish()
        else:
            self._try_start()

    def _task_at_fault(self, status: ExecutorStatus) -> Task | None:
        """The mini-batch that a dead executor was at. One whose attempt had been sent whole is not outstanding."""
        is_current = self._isolation is None or self._isolation.is_at(status)
        if status.phase not in (*TASK_PHASES, Phase.SEND) or not is_current:
            return None
        return self._tasks.outstanding_task(status.index)

    def _try_start(self) -> None:
        try:
            self._start()
        except OSError as error:  # there is no room for a process, the file server is away, the run directory is gone
            logger.warning("no executor can be started: %s", error)
            for report in self._starts.on_not_started(error):
                self._reports.append(report)
            if self._starts.due is None:
                self._finish()

    def _record_crash(self, task: Task, executor: ExecutorProcess, items: int, seconds: float, phase: Phase) -> None:
        """The mini-batch in the status block of a dead executor has had an attempt."""
        self._starts.on_worked()
        index, rank, host = task.mini_batch.index, self._settings.rank, self._settings.host
        cause, failure = diagnosis.crashed(task, self._guards, executor.status, phase, rank, host)
        encoded = encode_failures([failure])
        counts = self._restart_policy.on_attempt(index, succeeded=False)
        if self._isolation is not None:
            self._isolation.on_part_done(cause, 0, seconds, Encoded(0, b""), encoded)
            return
        if counts:
            self._tasks.done(index)
            record = diagnosis.crash_record(task, cause, items, seconds, rank, len(encoded))
            self._report(record, encoded)
        self._tasks.requeue_all()

    def _count_failed_start(self, executor: ExecutorProcess) -> bool:
        """After an end that no mini-batch is to blame for: whether that was once too often."""
        reason, rank, host = executor.kill_reason, self._settings.rank, self._settings.host
        failure = self._init_failure or diagnosis.exited_idle(reason, executor.status, rank, host)
        self._reports.append(report := self._starts.on_ended(failure))
        return isinstance(report, WorkerRetired)

    def _retire_unkillable(self, executor: ExecutorProcess) -> None:
        failure = diagnosis.unkillable(executor.pid, executor.kernel_wait(), self._settings.rank, self._settings.host)
        self._reports.append(WorkerRetired(failure))
        self._executor = None
        self._finish()

    def _begin_shutdown(self, kill: bool) -> None:
        self._shutting_down = True
        self._tasks.take_backlog()
        executor = self._executor
        if executor is None:
            self._finish()
        elif kill or not (self._ready or self._replacing):
            executor.kill("the run is over")
        else:
            executor.close_input()

    def _finish(self) -> None:
        """No executor, and none to come."""
        self._reports.add_returned(self._tasks.take_all(), recalled=False)
        if self._shutting_down:
            self._reports.append(WorkerExited())
        self._finished, self._starts.due = True, None
