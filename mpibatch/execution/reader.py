"""Reading ahead: a thread loads the next mini-batch while run() works on this one.

    main thread    take(1) --> run(1) ........... encode, send --> take(2) --> run(2) ...
                               ahead(1)                            waits, if it must
    reader thread              |-- looks at the queue --> load(2)     |-- load(3) ...

The reader looks at the next packet of the queue and leaves it there, so that the worker can still take it back; what
was read for a packet that then never came is dropped. Two mini-batches are in memory at most, since the reader begins
when run() does and keeps one.

What fails while it is read ahead fails when it is asked for, as if it had been loaded then. A crash is blamed on the
mini-batch in run(), which is another: so neither a mini-batch that was tried before, nor a part of one, nor one that
has no further try, is read ahead or has another read beside it. It runs alone, and then the blame is right.
"""

import os
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mpibatch.datasets.base import Loaded
from mpibatch.execution.protocol import LARGEST_PACKET, Task, unpack


@dataclass(frozen=True, slots=True)
class _Read:
    """What came of reading one mini-batch."""

    loaded: Loaded | None
    error: BaseException | None
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """While it is open the reader may begin. following: what comes next, where no look at the queue is needed."""

    following: Task | None


class Reader:
    """Of one executor. Its thread starts with the first `ahead`.

    load:  reads one mini-batch; called by one thread at a time
    queue: the executor's end
    tries: run_max_try
    """

    def __init__(self, load: Callable[[Task], Loaded], queue: socket.socket, tries: int) -> None:
        self._load = load
        self._queue = queue
        self._tries = tries
        self._changed = threading.Condition()
        self._over = False
        self._window: _Window | None = None
        self._task: Task | None = None  # being read, or read
        self._read: _Read | None = None
        self._thread: threading.Thread | None = None
        # Held while anything is loaded: a process forked then would have for ever locked what a library had locked.
        # A load that forks itself may.
        self._loading = threading.RLock()
        os.register_at_fork(
            before=self._loading.acquire, after_in_parent=self._loading.release, after_in_child=self._loading.release
        )

    # -- the main thread

    def take(self, task: Task) -> tuple[Loaded, float]:
        """The mini-batch of `task`, and the seconds that loading it took. Raises what load raised."""
        with self._changed:
            self._window = None
            while self._task is not None and self._read is None:
                self._changed.wait()
            read = self._read if self._task == task else None
            self._task = self._read = None
        if read is None:
            read = self._load_now(task)
        if read.error is not None:
            raise read.error
        assert read.loaded is not None
        return read.loaded, read.seconds

    def ahead(self, task: Task, following: Task | None) -> None:
        """run() of `task` begins. following: the task after it, where it came in the same packet."""
        if self._is_alone(task):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mpibatch-reader", daemon=True)
            self._thread.start()
        with self._changed:
            self._window = _Window(following)
            self._changed.notify_all()

    def stop(self) -> None:
        """Returns when the thread is gone."""
        with self._changed:
            self._over = True
            self._window = None
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _is_alone(self, task: Task) -> bool:
        return task.is_part or task.tries > 1 or self._tries == 1

    def _load_now(self, task: Task) -> _Read:
        began = time.monotonic()
        with self._loading:
            try:
                return _Read(self._load(task), None, time.monotonic() - began)
            except BaseException as error:  # SystemExit too: it is for the main thread to judge
                return _Read(None, error, time.monotonic() - began)

    # -- the reader's thread

    def _work(self) -> None:
        while (window := self._wait()) is not None:
            task = window.following or self._next()
            if self._is_still(window, task):
                assert task is not None
                read = self._load_now(task)
                with self._changed:
                    self._read = read
                    self._changed.notify_all()
                del read  # else it would live on while the next one is read

    def _wait(self) -> _Window | None:
        """Until a window opens; None when all is over."""
        with self._changed:
            while self._window is None and not self._over:
                self._changed.wait()
            return self._window

    def _next(self) -> Task | None:
        """The first task of the next packet, which stays on the queue; None if there is none after all."""
        waiter = select.poll()  # other than recv it leaves the wake-up to the main thread too
        waiter.register(self._queue, select.POLLIN)
        waiter.poll()
        try:
            packet = self._queue.recv(2 * LARGEST_PACKET, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            tasks = unpack(packet) if packet else []
        except OSError:  # taken meanwhile, by the main thread or back by the worker
            return None
        return tasks[0] if tasks else None

    def _is_still(self, window: _Window, task: Task | None) -> bool:
        """Closes the window; whether it was still open, and `task` is to be read."""
        with self._changed:
            if self._window is not window:
                return False
            self._window = None
            if task is None or self._is_alone(task):
                return False
            self._task = task
            return True
