"""One executor as its worker sees it: start, queue, results, slot, and an end that is certain.

An Executor lives from start to death; the next one is a new object with new descriptors, so nothing of a dead one can
be mistaken for its successor's. Reading and writing never block. `kill` may be called from the watchdog's thread.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from mpibatch.execution import guardian
from mpibatch.execution.protocol import FRAME, LARGEST_PACKET, Task, pack, spill_path, unpack
from mpibatch.execution.slot import Slot
from mpibatch.execution.spec import DUMP_SIGNAL, ExecutorSpec

PIPE_BYTES = 1 << 20
READ_BYTES = 1 << 20
DUMP_SECONDS = 0.1  # what the stack dump gets before the kill
STUCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What a spec is completed with at each start."""

    queue: int
    results: int
    slot: int


class Arrived(NamedTuple):
    """What was read: `frames` are {FrameType, start of the body, end of the body} within `data`."""

    data: bytes
    frames: list[tuple[int, int, int]]


class Life(Enum):
    RUNNING = "running"
    ENDED = "ended"
    STUCK = "stuck"  # survived SIGKILL


class Executor:
    """Starts at construction.

    describe:    completes the spec with this executor's descriptors
    environment: of the script, complete
    stdout, stderr: files that are appended to
    scratch:     whether it gets a TMPDIR of its own, which goes when it ends, however it ends
    """

    def __init__(
        self,
        describe: Callable[[Descriptors], ExecutorSpec],
        environment: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        scratch: bool = False,
    ) -> None:
        self.slot = Slot()
        self._scratch = _scratch_folder(environment) if scratch else None
        self._queue, queue = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._queue.setblocking(False)
        self._unbegun_end = queue  # kept, so that packets the executor has not taken can be taken back
        self._results, results = os.pipe()
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        os.set_blocking(self._results, False)
        _widen(self._results)
        told = Descriptors(queue.fileno(), results, self.slot.descriptor)
        spec = os.memfd_create("mpibatch-spec", os.MFD_CLOEXEC)
        os.write(spec, describe(told).to_json().encode())
        python = [sys.executable, "-u", "-P", "-m", "mpibatch.execution.child", str(spec)]
        self._before = frozenset(guardian.children(os.getpid()))  # of the rank's own, not of the script
        with stdout.open("ab") as out, stderr.open("ab") as err:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, str(control.fileno()), *python],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**environment, "TMPDIR": self._scratch.name} if self._scratch else dict(environment),
                pass_fds=(control.fileno(), spec, told.queue, told.results, told.slot),
                start_new_session=True,  # signals of the terminal and of mpirun are for the rank to judge
            )
        control.close()
        os.close(results)
        os.close(spec)
        self._buffer = bytearray()
        self._spilled: dict[int, int] = {}
        self._lock = threading.Lock()
        self._killed_at: float | None = None
        self.pid: int | None = None
        self.started = time.monotonic()
        self.status: int | None = None  # wait status, once it has ended
        self.why_killed = ""
        self.life = Life.RUNNING
        self.is_to_end = False

    # -- queue

    def offer(self, tasks: Sequence[Task]) -> bool:
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

    def take_back(self) -> list[Task]:
        """All tasks that the executor has not taken, in order."""
        tasks: list[Task] = []
        with contextlib.suppress(BlockingIOError):
            # by flag: the executor shares this end, and must go on blocking on it
            while packet := self._unbegun_end.recv(2 * LARGEST_PACKET, socket.MSG_DONTWAIT):
                tasks += unpack(packet)
        for task in tasks:
            self.forget(task.mini_batch.index)
        return tasks

    def forget(self, index: int) -> None:
        """The task of this mini-batch is over: lets go of what it needed."""
        if self._spilled and (descriptor := self._spilled.pop(index, None)) is not None:
            os.close(descriptor)

    def close_queue(self) -> None:
        """No more tasks: the executor runs the script's shutdown() and ends."""
        self.is_to_end = True
        with contextlib.suppress(OSError):
            self._queue.shutdown(socket.SHUT_WR)

    # -- results

    def descriptors(self) -> list[int]:
        """For select: readable when there is something to read."""
        return [self._results, self._control.fileno()] if self.life is Life.RUNNING else []

    def read(self) -> "Arrived":
        """All frames that have arrived whole."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._results, READ_BYTES):
                self._buffer += data
                if len(data) < READ_BYTES // 16 or len(self._buffer) > 4 * READ_BYTES:
                    break
        if not _begins_whole(self._buffer):
            return Arrived(b"", [])  # without a copy at each look, since a frame may be very large
        data = bytes(self._buffer)
        frames: list[tuple[int, int, int]] = []
        size, position, header, unpack_from = len(data), 0, FRAME.size, FRAME.unpack_from
        while position + header <= size:
            kind, length = unpack_from(data, position)
            end = position + header + length
            if end > size:
                break
            frames.append((kind, position + header, end))
            position = end
        del self._buffer[:position]
        return Arrived(data, frames)

    @property
    def spilling(self) -> bool:
        """Whether there are tasks to `forget`."""
        return bool(self._spilled)

    # -- life

    def look(self) -> Life:
        """Takes note of what the guardian says."""
        if self.life is Life.RUNNING:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while message := self._control.recv(64):
                    if message[:1] == b"P":
                        self.pid = int(message[1:])
                    else:
                        self.status = int(message[1:])
                if not message:
                    self._end()
            killed = self._killed_at
            if self.life is Life.RUNNING and killed is not None and time.monotonic() - killed > STUCK_SECONDS:
                self.life = Life.STUCK
        return self.life

    def kill(self, why: str, dump: bool = False) -> None:
        """Ends the executor and all that it has started; `dump` has its stacks written to its stderr file first."""
        with self._lock:
            if self._killed_at is not None or self.life is not Life.RUNNING:
                return
            self.why_killed = why
            if dump and self.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, DUMP_SIGNAL)
                    time.sleep(DUMP_SECONDS)
            with contextlib.suppress(OSError):
                self._control.send(b"K")
            self._killed_at = time.monotonic()

    def waits_on(self) -> str:
        """What a process that survives SIGKILL waits on, as far as the kernel says."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/wchan").read_text(encoding="ascii").strip() or "unknown"
        return "unknown"

    def _end(self) -> None:
        """The guardian is gone, and with it the executor, also where somebody has killed the guardian itself."""
        if self.status is None:
            while guardian.kill_descendants(spare=self._before | {self._guardian.pid}):
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                time.sleep(guardian.SWEEP_SECONDS)
        self._guardian.wait()
        with self._lock:
            self.life = Life.ENDED

    def close(self) -> None:
        """After its end, and after the last read."""
        for index in list(self._spilled):
            self.forget(index)
        self._queue.close()
        self._unbegun_end.close()
        self._control.close()
        os.close(self._results)
        self.slot.close()
        if self._scratch is not None:
            self._scratch.cleanup()


def _scratch_folder(environment: Mapping[str, str]) -> "tempfile.TemporaryDirectory[str]":
    """A new folder where the script's own temporary files would go."""
    parent = environment.get("TMPDIR", "")
    return tempfile.TemporaryDirectory(
        prefix="mpibatch-", dir=parent if os.path.isdir(parent) else None, ignore_cleanup_errors=True
    )


def _begins_whole(data: bytearray) -> bool:
    """Whether the first frame is all there."""
    return len(data) >= FRAME.size and len(data) >= FRAME.size + FRAME.unpack_from(data)[1]


def _widen(pipe: int) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # the user's share of pipe memory is used up: the usual 64 KiB do as well
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
