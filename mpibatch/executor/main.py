"""The executor: the process in which the user's script lives.

    queue --Task--> load --> run --> encode --> frame --ResultPipe--> worker
            status: LOAD     RUN     ENCODE     SEND     (read by the worker's watchdog)

Where loading reads data a Prefetcher does it, and reads the next mini-batch ahead: LOAD is then the time spent waiting.

Started by the supervisor as `python -m mpibatch.executor.main SPEC_FD`, where the descriptor holds an ExecutorSpec as
JSON. Imports no MPI and nothing heavy: pandas and the like come with the format or the script that needs them.
"""

import contextlib
import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mpibatch import attempts, azure_names
from mpibatch.attempts import AttemptOutcome, Failure, encode_failures
from mpibatch.datasets import open_datasets
from mpibatch.datasets.base import Dataset, LoadedBatch
from mpibatch.datasets.state_file import load_states
from mpibatch.errors import MpibatchError, RunDirectoryError
from mpibatch.executor import entry_script, process_exit, staging
from mpibatch.executor.attempt import AttemptRunner, PhaseTimer
from mpibatch.executor.entry_script import EntryScript
from mpibatch.executor.oom_kills import OomKills
from mpibatch.executor.prefetch import Prefetcher
from mpibatch.executor.protocol import FRAME, FrameType, Task, unpack
from mpibatch.executor.result_pipe import ResultPipe
from mpibatch.executor.spec import DUMP_SIGNAL, ExecutorSpec
from mpibatch.executor.status_block import StatusBlock
from mpibatch.executor.tracebacks import summary_line, user_traceback
from mpibatch.large import LARGE_BYTES
from mpibatch.output import open_encoder
from mpibatch.output.base import Encoder
from mpibatch.types import Phase

LARGEST_PACKET_READ = 1 << 20


class ExecutorLoop:
    """One script, one loop."""

    def __init__(self, spec: ExecutorSpec, status_block: StatusBlock, results: int) -> None:
        job = spec.job
        self._spec = spec
        self._status_block = status_block
        self._results = ResultPipe(results)
        self._datasets: list[Dataset] = open_datasets(job)
        self._encoder: Encoder = open_encoder(
            job.config.append_row_file_name, job.config.append_row_format, job.config.output_action
        )
        self._schemas: dict[bytes, int] = {b"": 0}
        self._script: EntryScript | None = None
        self._attempts: AttemptRunner | None = None
        self._prefetcher: Prefetcher | None = None
        self._forked = False
        self._oom_kills = OomKills(spec.oom_kills)

    def detach(self) -> None:
        """In a process that the script has forked: it is no executor, also where it comes back from run()."""
        self._forked = True
        self._status_block.detach()

    def initialize(self) -> bool:
        """Imports the script and calls init(). Returns whether that went well; the worker learns it either way."""
        config = self._spec.job.config
        try:
            self._status_block.set_phase(Phase.START)
            for dataset in self._datasets if self._spec.accept_changes else ():
                dataset.accept_changes()
            self._staged = staging.ensure_staged(self._spec.staged)  # held until this process ends
            self._script = self._oom_kills.watching(
                entry_script.load(Path(config.source_directory), config.entry_script, self._spec.arguments)
            )
            self._attempts = AttemptRunner(
                self._spec.job, self._script, self._datasets, self._encoder, self._spec.rank, self._spec.host
            )
            self._status_block.set_phase(Phase.INIT)
            if self._script.init is not None:
                self._script.init()
        except MpibatchError as error:
            self._send_init_failure(str(error), "")
        except BaseException as error:
            if self._forked:
                raise
            self._oom_kills.end_if_any()
            self._send_init_failure(summary_line(error), user_traceback(error))
        else:
            self._oom_kills.end_if_any()
            self._status_block.set_idle()
            self._send(FRAME.pack(FrameType.READY, 0))
            return True
        return False

    def run(self, queue: socket.socket) -> None:
        """Takes tasks until the worker closes the queue."""
        if not self._load_states(queue):
            return
        if any(dataset.reads_data for dataset in self._datasets):
            self._prefetcher = Prefetcher(self._load, queue, self._spec.job.config.run_max_try)
        while packet := self._next_packet(queue):
            tasks = unpack(packet)
            if self._prefetcher is None:
                for task in tasks:
                    self._run_attempt(task)
            else:
                for task, following in zip(tasks, [*tasks[1:], None], strict=True):
                    self._run_attempt(task, following)

    def _load_states(self, queue: socket.socket) -> bool:
        """What rank 0 has found out, once there is a task: before that it may still plan. False: no task is taken.

        It is no mini-batch's fault where that cannot be read, as in a run directory that was deleted.
        """
        try:
            if queue.recv(1, socket.MSG_PEEK):
                load_states(Path(self._spec.dataset_states), self._datasets)
        except RunDirectoryError as error:
            self._send_init_failure(str(error), "")
            return False
        return True

    def _next_packet(self, queue: socket.socket) -> bytes:
        """Waits for tasks; empty when there are to be no more."""
        try:
            return queue.recv(LARGEST_PACKET_READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._flush()
            return queue.recv(LARGEST_PACKET_READ)

    def shut_down(self) -> None:
        self._flush()
        self._status_block.set_phase(Phase.SHUTDOWN)
        if self._prefetcher is not None:
            self._prefetcher.stop()
        if self._script is not None and self._script.shutdown is not None:
            self._script.shutdown()
        process_exit.limit_exit()

    # -- one mini-batch

    def _run_attempt(self, task: Task, following: Task | None = None) -> None:
        assert self._attempts is not None
        batch, started = task.mini_batch, time.time()
        phases = PhaseTimer(
            self._status_block.set_phase, self._status_block.begin_task(batch.index, task.first, task.last, batch.items)
        )
        read_for: float | None = None

        def load() -> LoadedBatch:
            nonlocal read_for
            if self._prefetcher is None:
                loaded = self._load(task)
            else:
                loaded, read_for = self._prefetcher.get(task)
                self._prefetcher.start(task, following)
            self._status_block.set_items(loaded.items)
            if task.is_part and loaded.items == 1:
                self._send_names(task)
            return loaded

        result = self._attempts.attempt(task, load, phases)
        if task.is_part and result.rows < result.items > 1 and result.cause is AttemptOutcome.SUCCEEDED:
            self._send_names(task)
        phases.enter(Phase.SEND)
        encoded, failures = result.encoded, result.failures
        record = attempts.pack(
            index=batch.index,
            items=result.items,
            succeeded=max(0, min(result.rows, result.items)),  # items may be UNKNOWN
            row_bytes=len(encoded.data),
            failure_bytes=len(failures),
            schema=self._schema_id(encoded.schema) if encoded.data else 0,
            rank=self._spec.rank,
            cause=result.cause,
            tries=task.tries,
            flags=result.flags,
            started=started,
            load=phases.load if read_for is None else read_for,
            run=phases.run,
            encode=phases.encode,
        )
        length = len(record) + len(encoded.data) + len(failures)
        head = FRAME.pack(FrameType.ATTEMPT, length) + record
        if length > LARGE_BYTES:
            self._end_if_forked()
            self._results.send_large(head, encoded.data, failures)
            return
        frame = head + encoded.data + failures
        if failures or task.is_part:
            self._send(frame)
        else:
            self._end_if_forked()
            self._results.hold(frame, phases.now, phases.load + phases.run + phases.encode)

    def _load(self, task: Task) -> LoadedBatch:
        loaded = self._datasets[task.mini_batch.dataset].load(task.mini_batch.payload)
        return loaded.slice(task.first, task.last) if task.is_part else loaded

    # -- to the worker

    def _send_names(self, task: Task) -> None:
        """Rank 0 reads no input: the items of a part are named here, where it was loaded."""
        batch, lost = task.mini_batch, list(range(task.first, task.last))
        items = self._datasets[batch.dataset].locate_items(batch.payload, lost, batch.items)
        body = json.dumps([item.to_json() for item in items]).encode()
        self._send(FRAME.pack(FrameType.NAMES, len(body)) + body)

    def _schema_id(self, schema: bytes) -> int:
        """The id of a schema, made known before its first use."""
        if schema not in self._schemas:
            number = attempts.schema_id(schema)
            self._schemas[schema] = number
            self._send(FRAME.pack(FrameType.SCHEMA, 4 + len(schema)) + number.to_bytes(4, "little") + schema)
        return self._schemas[schema]

    def _send_init_failure(self, text: str, trace: str) -> None:
        failure = Failure("init", text, trace, rank=self._spec.rank, host=self._spec.host)
        body = encode_failures([failure])
        self._send(FRAME.pack(FrameType.INIT_FAILED, len(body)) + body)

    def _send(self, frame: bytes) -> None:
        self._end_if_forked()
        self._results.send(frame)

    def _flush(self) -> None:
        self._end_if_forked()
        self._results.flush()

    def _end_if_forked(self) -> None:
        if self._forked:
            os.write(2, b"mpibatch: a process that the script forked came back from it, and is ended here\n")
            os._exit(1)


def _configure_process(spec: ExecutorSpec) -> None:
    """Cores, working directory, stack dumps, and the root logger, before anything of the user's is imported."""
    if spec.cores:
        with contextlib.suppress(OSError):  # the cgroup allows fewer by now: then the kernel's choice stands
            os.sched_setaffinity(0, spec.cores)
    os.chdir(spec.job.config.source_directory)
    os.environ["MPIBATCH_SCRIPT_LOG"] = spec.script_log
    azure_names.fill_in()
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    _ignore_batch_signals()
    _log_to(spec.script_log, spec.job.config.logging_level)


def _log_to(path: str, level: str) -> None:
    """What the script logs goes to `path`, and also where the script's own logging.basicConfig() says."""
    configure, root = logging.basicConfig, logging.getLogger()
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.setLevel(level)
    root.addHandler(handler)

    def basic_config(**options: Any) -> None:
        root.removeHandler(handler)  # with a handler there it would do nothing
        try:
            configure(**options)
        finally:
            root.addHandler(handler)

    logging.basicConfig = basic_config


def _ignore_batch_signals() -> None:
    """What a batch system sends to all processes of a job is for mpibatch to judge: the script goes on for its grace.

    A handler, since what is ignored here programs that the script starts would ignore too; and only in this process:
    in those that the script forks (multiprocessing) such a signal does what it always does. It is blocked meanwhile,
    since Python forgets what arrives in a new process before it has settled there.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = threading.local()

    def ignore(number: int, frame: object) -> None:
        pass

    def block() -> None:
        before.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before.blocked)

    def restore_defaults() -> None:
        for number in numbers:
            if signal.getsignal(number) is ignore:
                signal.signal(number, signal.SIG_DFL)
        unblock()

    for number in numbers:
        signal.signal(number, ignore)
    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=restore_defaults)


def main() -> None:
    with open(int(sys.argv[1]), encoding="utf-8") as file:
        file.seek(0)
        spec = ExecutorSpec.from_json(file.read())
    for descriptor in (spec.queue, spec.results, spec.status_block):
        os.set_inheritable(descriptor, False)  # what the script starts is no executor
    _configure_process(spec)
    executor = ExecutorLoop(spec, StatusBlock(spec.status_block), spec.results)
    os.register_at_fork(after_in_child=executor.detach)
    if executor.initialize():
        executor.run(socket.socket(fileno=spec.queue))
        executor.shut_down()


if __name__ == "__main__":
    main()
