"""One executor as its worker sees it: start, queue, results, status, and an end that is certain.

An ExecutorProcess lives from start to death; the next one is a new object with new descriptors, so nothing of a dead
one can be mistaken for its successor's. Reading and writing never block. The watchdog's thread may call `kill`.
"""

import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mpibatch.executor.protocol import LARGEST_PACKET, Task, pack, spill_path, unpack
from mpibatch.executor.spec import DUMP_SIGNAL, ExecutorSpec
from mpibatch.executor.status_block import StatusBlock
from mpibatch.liveness.supervised_process import SupervisedProcess
from mpibatch.liveness.timers import UNKILLABLE_AFTER_SECONDS
from mpibatch.worker import background
from mpibatch.worker.cgroup import ExecutorCgroup
from mpibatch.worker.frame_reader import NOTHING, FrameReader, ReceivedFrames

PIPE_BYTES = 1 << 20
DUMP_SECONDS = 0.1  # what the stack dump gets before the kill


@dataclass(frozen=True, slots=True)
class InheritedFds:
    """What a spec is completed with at each start."""

    queue: int
    results: int
    status_block: int


class ProcessState(Enum):
    RUNNING = "running"
    EXITED = "exited"
    UNKILLABLE = "unkillable"  # survived SIGKILL


class ExecutorProcess:
    """Starts at construction.

    make_spec:    completes the spec with this executor's descriptors
    environment: of the script, complete
    stdout, stderr: files that are appended to
    private_tmpdir:     whether it gets a TMPDIR of its own, which goes when it ends, however it ends
    cgroup:             of its own, which goes when it ends too
    Raises OSError where there can be no process, and leaves nothing then.
    """

    def __init__(
        self,
        make_spec: Callable[[InheritedFds], ExecutorSpec],
        environment: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        private_tmpdir: bool = False,
        cgroup: ExecutorCgroup | None = None,
    ) -> None:
        self.cgroup = cgroup
        with contextlib.ExitStack() as passing, contextlib.ExitStack() as undo:  # undo: where there can be no process
            if cgroup is not None:
                undo.callback(cgroup.remove)
            self.status_block = StatusBlock()
            undo.callback(self.status_block.close)
            self._tmpdir = _private_tmpdir(environment) if private_tmpdir else None
            if self._tmpdir is not None:
                undo.callback(self._tmpdir.cleanup)
            self._queue, queue = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(self._queue.close)
            undo.callback(queue.close)
            self._queue.setblocking(False)
            self._executor_end = queue  # kept, so that packets the executor has not taken can be taken back
            self._results, results = os.pipe()
            undo.callback(os.close, self._results)
            passing.callback(os.close, results)
            os.set_blocking(self._results, False)
            _enlarge_pipe(self._results)
            fds = InheritedFds(queue.fileno(), results, self.status_block.descriptor)
            spec = os.memfd_create("mpibatch-spec", os.MFD_CLOEXEC)
            passing.callback(os.close, spec)
            os.write(spec, make_spec(fds).to_json().encode())
            python = [sys.executable, "-u", "-P", "-m", "mpibatch.executor.main", str(spec)]
            with stdout.open("ab") as out, stderr.open("ab") as err, background.not_giving_way():
                self._process = SupervisedProcess(
                    python,
                    {**environment, "TMPDIR": self._tmpdir.name} if self._tmpdir else environment,
                    stdout=out,
                    stderr=err,
                    pass_fds=(spec, fds.queue, fds.results, fds.status_block),
                    cgroup=os.fspath(cgroup.folder) if cgroup is not None else None,
                )
            undo.pop_all()
        self._frames = FrameReader(self._results)
        self.reading = True  # else what the executor writes stays in the pipe, and soon it waits
        self._spilled: dict[int, int] = {}
        self._lock = threading.Lock()
        self._killed_at: float | None = None
        self.started = time.monotonic()
        self.kill_reason = ""
        self.state = ProcessState.RUNNING
        self.closing = False

    # -- queue

    def try_send(self, tasks: Sequence[Task]) -> bool:
        """Puts tasks on the queue, as one packet; False if it is full."""
        packet = pack(tasks)
        spilled = -1
        if len(packet) > LARGEST_PACKET:
            spilled = os.memfd_create("mpibatch-tasks", os.MFD_CLOEXEC)
            with open(spilled, "wb", closefd=False) as file:
                file.write(packet)
            packet = spill_path(os.getpid(), spilled)
        try:
            self._queue.send(packet)
        except BlockingIOError:
            if spilled >= 0:
                os.close(spilled)
            return False
        if spilled >= 0:
            # all its tasks keep it open until the last is over
            self._spilled[tasks[-1].mini_batch.index] = spilled
        return True

    def recall_queued(self) -> list[Task]:
        """All tasks that the executor has not taken, in order."""
        tasks: list[Task] = []
        with contextlib.suppress(BlockingIOError):
            # by flag: the executor shares this end, and must go on blocking on it
            while packet := self._executor_end.recv(2 * LARGEST_PACKET, socket.MSG_DONTWAIT):
                tasks += unpack(packet)
        for task in tasks:
            self.release(task.mini_batch.index)
        return tasks

    def release(self, index: int) -> None:
        """The task of this mini-batch is over: lets go of what it needed."""
        if self._spilled and (descriptor := self._spilled.pop(index, None)) is not None:
            os.close(descriptor)

    def close_input(self) -> None:
        """No more tasks: the executor runs the script's shutdown() and ends."""
        self.closing = True
        with contextlib.suppress(OSError):
            self._queue.shutdown(socket.SHUT_WR)

    # -- results

    def fds(self) -> list[int]:
        """For select: readable when there is something to read."""
        if self.state is not ProcessState.RUNNING:
            return []
        return [self._results, self._process.fileno()] if self.reading else [self._process.fileno()]

    def read(self) -> ReceivedFrames:
        """Frames that have arrived whole: all of them, or one that is large."""
        return self._frames.read() if self.reading else NOTHING

    def drain(self) -> Iterator[ReceivedFrames]:
        """After its end: what it had sent and nobody has read."""
        return self._frames.drain()

    @property
    def has_spilled(self) -> bool:
        """Whether there are tasks to `release`."""
        return bool(self._spilled)

    # -- life

    @property
    def pid(self) -> int | None:
        """Its process number, once it has started."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its wait status, once it has ended; None where its supervisor was killed first."""
        return self._process.status

    def tree(self) -> list[int]:
        """Its process and all that it has started. May be called from any thread."""
        return self._process.tree()

    def poll(self) -> ProcessState:
        """Takes note of what the supervisor reports."""
        if self.state is ProcessState.RUNNING:
            if self._process.poll():
                with self._lock:
                    self.state = ProcessState.EXITED
            killed = self._killed_at
            if (
                self.state is ProcessState.RUNNING
                and killed is not None
                and time.monotonic() - killed > UNKILLABLE_AFTER_SECONDS
            ):
                self.state = ProcessState.UNKILLABLE
        return self.state

    def kill(self, reason: str, dump: bool = False) -> None:
        """Ends the executor and all that it has started; `dump` has its stacks written to its stderr file first."""
        with self._lock:
            if self._killed_at is not None or self.state is not ProcessState.RUNNING:
                return
            self.kill_reason = reason
            if dump and self.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, DUMP_SIGNAL)
                    time.sleep(DUMP_SECONDS)
            self._process.kill()
            self._killed_at = time.monotonic()

    def kernel_wait(self) -> str:
        """What a process that survives SIGKILL waits on, as far as the kernel says."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/wchan").read_text(encoding="ascii").strip() or "unknown"
        return "unknown"

    def close(self) -> None:
        """After its end, and after the last read."""
        for index in list(self._spilled):
            self.release(index)
        self._queue.close()
        self._executor_end.close()
        self._process.close()
        os.close(self._results)
        self.status_block.close()
        if self._tmpdir is not None:
            self._tmpdir.cleanup()
        if self.cgroup is not None:
            self.cgroup.remove()


def _private_tmpdir(environment: Mapping[str, str]) -> "tempfile.TemporaryDirectory[str]":
    """A new folder where the script's own temporary files would go."""
    parent = environment.get("TMPDIR", "")
    return tempfile.TemporaryDirectory(
        prefix="mpibatch-", dir=parent if os.path.isdir(parent) else None, ignore_cleanup_errors=True
    )


def _enlarge_pipe(pipe: int) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # the user's share of pipe memory is used up: the usual 64 KiB do as well
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
