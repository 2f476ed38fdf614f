"""The executor: the process in which the user's script lives.

    queue --Task--> load --> run --> encode --> frame on the results pipe
            slot:   LOAD     RUN     ENCODE     SEND     (the worker's watchdog looks on)

Where loading reads data a Reader does it, and reads the next mini-batch ahead: LOAD is then the time spent waiting.

Started by the guardian as `python -m mpibatch.execution.child SPEC_FD`, where the descriptor holds an ExecutorSpec as
JSON. Imports no MPI and nothing heavy: pandas and the like come with the format or the script that needs them.
"""

import contextlib
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpibatch.datasets import open_datasets
from mpibatch.datasets.base import Dataset, Loaded, LoadError, WrongCut
from mpibatch.errors import MpibatchError
from mpibatch.execution import entry, staging
from mpibatch.execution.entry import EntryScript, context_of
from mpibatch.execution.protocol import FRAME, FrameType, Task, unpack
from mpibatch.execution.reader import Reader
from mpibatch.execution.slot import Slot
from mpibatch.execution.spec import DUMP_SIGNAL, ExecutorSpec
from mpibatch.execution.trace import one_line, user_traceback
from mpibatch.output import open_encoder
from mpibatch.output.base import Encoded, Encoder, WrongReturn
from mpibatch.types import ATTEMPT, UNKNOWN, Cause, Failure, Flag, Phase, encode_failures

NO_ROWS = Encoded(0, b"")
UNKNOWN_SECONDS = -1.0
LARGEST_PACKET_READ = 1 << 20


class Executor:
    """One script, one loop."""

    def __init__(self, spec: ExecutorSpec, slot: Slot, results: int) -> None:
        job = spec.job
        self._spec = spec
        self._slot = slot
        self._results = results
        self._names = [input.name for input in job.inputs] or [""]
        self._counts_rows = bool(job.inputs)  # without input any number of rows is as it should be
        self._datasets: list[Dataset] = open_datasets(job)
        for dataset, frozen in zip(self._datasets, spec.frozen, strict=True):
            dataset.thaw(frozen)
        self._encoder: Encoder = open_encoder(
            job.config.append_row_file_name, job.config.append_row_format, job.config.output_action
        )
        self._schemas: dict[bytes, int] = {b"": 0}
        self._limit = job.config.run_invocation_timeout
        self._script: EntryScript | None = None
        self._reader: Reader | None = None
        self._forked = False

    def disown(self) -> None:
        """In a process that the script has forked: it is no executor, also where it comes back from run()."""
        self._forked = True
        self._slot.disown()

    def prepare(self) -> bool:
        """Imports the script and calls init(). Returns whether that went well; the worker is told either way."""
        config = self._spec.job.config
        try:
            self._slot.enter(Phase.START)
            self._staged = staging.bring(self._spec.staged)  # held until this process ends
            self._script = entry.load(Path(config.source_directory), config.entry_script, self._spec.arguments)
            self._slot.enter(Phase.INIT)
            if self._script.init is not None:
                self._script.init()
        except MpibatchError as error:
            self._refuse(str(error), "")
        except BaseException as error:
            self._refuse(one_line(error), user_traceback(error))
        else:
            self._slot.rest()
            self._send(FRAME.pack(FrameType.READY, 0))
            return True
        return False

    def work(self, queue: socket.socket) -> None:
        """Takes tasks until the worker closes the queue."""
        if any(dataset.reads_data for dataset in self._datasets):
            self._reader = Reader(self._load, queue, self._spec.job.config.run_max_try)
        while packet := queue.recv(LARGEST_PACKET_READ):
            tasks = unpack(packet)
            if self._reader is None:
                for task in tasks:
                    self._attempt(task)
            else:
                for task, following in zip(tasks, [*tasks[1:], None], strict=True):
                    self._attempt(task, following)

    def shut_down(self) -> None:
        self._slot.enter(Phase.SHUTDOWN)
        if self._reader is not None:
            self._reader.stop()
        if self._script is not None and self._script.shutdown is not None:
            self._script.shutdown()

    # -- one mini-batch

    def _attempt(self, task: Task, following: Task | None = None) -> None:
        batch, slot = task.mini_batch, self._slot
        began = slot.begin(batch.index, task.first, task.last, batch.items)
        started = time.time()
        items, ran, encoding, flags, rows = batch.items, began, began, 0, 0
        cause, encoded, failure = Cause.SUCCEEDED, NO_ROWS, b""
        reader, read_for = self._reader, UNKNOWN_SECONDS
        try:
            if reader is None:
                loaded = self._load(task)
            else:
                loaded, read_for = reader.take(task)
            items = loaded.items
            slot.loaded(items)
            ran = encoding = slot.enter(Phase.RUN)
            if reader is not None:
                reader.ahead(task, following)
            returned = self._run(task, loaded.value)
            encoding = slot.enter(Phase.ENCODE)
            if encoding - ran > self._limit:
                raise _Overrun
            encoded = self._encoder.encode(returned)
            rows = encoded.rows if self._counts_rows else items
            if rows < items:
                failure = self._short(task, rows, items)
            elif rows > items:
                flags = Flag.SURPLUS
        except BaseException as error:
            if encoding == ran:
                encoding = time.monotonic()
            cause, failure = self._explain(error, task, encoding - ran)
            encoded, rows = NO_ROWS, 0
            if cause is Cause.LOAD_ERROR and items == UNKNOWN:
                items = self._count(task)
                flags = Flag.ESTIMATED
        done = slot.enter(Phase.SEND)
        schema = self._schema(encoded.schema) if encoded.data else 0
        succeeded = max(0, min(rows, items))  # items may be UNKNOWN
        if ran == began:
            ran = encoding = done
        load = ran - began if read_for == UNKNOWN_SECONDS else read_for
        record = ATTEMPT.pack(
            batch.index, items, succeeded, len(encoded.data), len(failure), schema, self._spec.rank, cause, task.tries,
            flags, started, load, encoding - ran, done - encoding,
        )  # fmt: skip
        length = len(record) + len(encoded.data) + len(failure)
        self._send(FRAME.pack(FrameType.ATTEMPT, length) + record + encoded.data + failure)

    def _load(self, task: Task) -> Loaded:
        loaded = self._datasets[task.mini_batch.dataset].load(task.mini_batch.payload)
        return loaded.part(task.first, task.last) if task.is_part else loaded

    def _run(self, task: Task, value: Any) -> Any:
        assert self._script is not None
        if not self._script.wants_context:
            return self._script.run(value)
        return self._script.run(value, context_of(task.mini_batch, self._names))

    def _explain(self, error: BaseException, task: Task, seconds: float) -> tuple[Cause, bytes]:
        where = f"mini-batch {task.mini_batch.index}"
        trace = ""
        if isinstance(error, _Overrun):
            limit = self._spec.job.config.run_invocation_timeout
            cause = Cause.TIMEOUT
            text = f"run() of {where} took {seconds:.2f} s, more than run_invocation_timeout: {limit:g}"
        elif isinstance(error, WrongReturn):
            cause, text = Cause.WRONG_RETURN, f"{where}: {error}"
        elif isinstance(error, LoadError) or self._slot_phase_is_load():
            cause, text = Cause.LOAD_ERROR, f"{where} cannot be loaded: {one_line(error)}"
            trace = "" if isinstance(error, LoadError) else user_traceback(error)
        else:
            cause, text, trace = Cause.USER_ERROR, one_line(error), user_traceback(error)
            text += self._missing_files(task)
        failure = self._failure(cause, text, trace, task)
        return cause, encode_failures([replace(failure, fatal=isinstance(error, WrongCut))])

    def _count(self, task: Task) -> int:
        """Items of a mini-batch that could not be loaded; only its last try counts, so only that is worth a scan."""
        if task.tries < self._spec.job.config.run_max_try:
            return UNKNOWN
        try:
            return self._datasets[task.mini_batch.dataset].count(task.mini_batch.payload)
        except Exception:
            return UNKNOWN

    def _slot_phase_is_load(self) -> bool:
        reading = self._slot.read()
        return reading is not None and reading.phase == Phase.LOAD

    def _missing_files(self, task: Task) -> str:
        """After an error of the script: whether one of its files is gone or unreadable, the likely reason."""
        dataset = self._datasets[task.mini_batch.dataset]
        if not self._counts_rows:
            return ""
        for item in dataset.describe(task.mini_batch.payload, None, task.mini_batch.items):
            if "://" not in item.item and not os.access(item.item, os.R_OK):
                state = "cannot be read" if os.path.lexists(item.item) else "is no longer there"
                return f" (the input file {item.item!r} {state})"
        return ""

    def _short(self, task: Task, rows: int, items: int) -> bytes:
        missing = items - rows
        text = f"run() of mini-batch {task.mini_batch.index} returned {rows} rows for {items} items: {missing} missing"
        return encode_failures([self._failure(Cause.WRONG_RETURN, text, "", task, missing)])

    def _failure(self, cause: Cause, text: str, trace: str, task: Task, missing: int = 0) -> Failure:
        return Failure(cause.name.lower(), text, trace, None, missing, self._spec.rank, task.tries, self._spec.host)

    # -- to the worker

    def _schema(self, schema: bytes) -> int:
        """The id of a schema, made known before its first use."""
        if schema not in self._schemas:
            number = zlib.crc32(schema) or 1
            self._schemas[schema] = number
            self._send(FRAME.pack(FrameType.SCHEMA, 4 + len(schema)) + number.to_bytes(4, "little") + schema)
        return self._schemas[schema]

    def _refuse(self, text: str, trace: str) -> None:
        failure = Failure("init", text, trace, rank=self._spec.rank, host=self._spec.host)
        body = encode_failures([failure])
        self._send(FRAME.pack(FrameType.REFUSED, len(body)) + body)

    def _send(self, frame: bytes) -> None:
        if self._forked:
            os.write(2, b"mpibatch: a process that the script forked came back from it, and is ended here\n")
            os._exit(1)
        written = os.write(self._results, frame)
        if written < len(frame):
            rest = memoryview(frame)[written:]
            while rest:
                rest = rest[os.write(self._results, rest) :]


class _Overrun(Exception):
    """run() came back, but later than it may."""


def _settle_in(spec: ExecutorSpec) -> None:
    """Cores, working directory, stack dumps, and the root logger, before anything of the user's is imported."""
    if spec.cores:
        with contextlib.suppress(OSError):  # the cgroup allows fewer by now: then the kernel's choice stands
            os.sched_setaffinity(0, spec.cores)
    os.chdir(spec.job.config.source_directory)
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    _leave_signals_to_the_rank()
    logging.basicConfig(
        level=spec.job.config.logging_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[logging.FileHandler(spec.script_log, encoding="utf-8", delay=True)],
    )


def _leave_signals_to_the_rank() -> None:
    """What a batch system sends to all processes of a job is for mpibatch to judge: the script goes on for its grace.

    A handler, since what is ignored here programs that the script starts would ignore too; and only in this process:
    in those that the script forks (multiprocessing) such a signal does what it always does. It is blocked meanwhile,
    since Python forgets what arrives in a new process before it has settled there.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = threading.local()

    def pass_over(number: int, frame: object) -> None:
        pass

    def hold() -> None:
        before.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def let_go() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before.blocked)

    def as_always() -> None:
        for number in numbers:
            if signal.getsignal(number) is pass_over:
                signal.signal(number, signal.SIG_DFL)
        let_go()

    for number in numbers:
        signal.signal(number, pass_over)
    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=as_always)


def main() -> None:
    with open(int(sys.argv[1]), encoding="utf-8") as file:
        file.seek(0)
        spec = ExecutorSpec.from_json(file.read())
    for descriptor in (spec.queue, spec.results, spec.slot):
        os.set_inheritable(descriptor, False)  # what the script starts is no executor
    _settle_in(spec)
    executor = Executor(spec, Slot(spec.slot), spec.results)
    os.register_at_fork(after_in_child=executor.disown)
    if executor.prepare():
        executor.work(socket.socket(fileno=spec.queue))
        executor.shut_down()


if __name__ == "__main__":
    main()
