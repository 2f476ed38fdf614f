"""Reading ahead: a thread loads the next mini-batch while run() works on this one.

    main thread    get(1) ---> run(1) ........... encode, send --> get(2) ---> run(2) ...
                               start(1)                            waits, if it must
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

from mpibatch.datasets.base import LoadedBatch
from mpibatch.executor.protocol import LARGEST_PACKET, Task, unpack


@dataclass(frozen=True, slots=True)
class _LoadResult:
    """What came of reading one mini-batch."""

    loaded: LoadedBatch | None
    error: BaseException | None
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """While it is open the reader may begin. following: what comes next, where no look at the queue is needed."""

    following: Task | None


class Prefetcher:
    """Of one executor. Its thread starts with the first `start`.

    load:  reads one mini-batch; called by one thread at a time
    queue: the executor's end
    tries: run_max_try
    """

    def __init__(self, load: Callable[[Task], LoadedBatch], queue: socket.socket, tries: int) -> None:
        self._load = load
        self._queue = queue
        self._tries = tries
        self._changed = threading.Condition()
        self._stopping = False
        self._request: _Request | None = None
        self._task: Task | None = None  # being read, or read
        self._result: _LoadResult | None = None
        self._thread: threading.Thread | None = None
        # Held while anything is loaded: a process forked then would have for ever locked what a library had locked.
        # A load that forks itself may.
        self._loading = threading.RLock()
        os.register_at_fork(
            before=self._loading.acquire, after_in_parent=self._loading.release, after_in_child=self._loading.release
        )

    # -- the main thread

    def get(self, task: Task) -> tuple[LoadedBatch, float]:
        """The mini-batch of `task`, and the seconds that loading it took. Raises what load raised."""
        with self._changed:
            self._request = None
            while self._task is not None and self._result is None:
                self._changed.wait()
            result = self._result if self._task == task else None
            self._task = self._result = None
        if result is None:
            result = self._load_now(task)
        if result.error is not None:
            raise result.error
        assert result.loaded is not None
        return result.loaded, result.seconds

    def start(self, task: Task, following: Task | None) -> None:
        """run() of `task` begins. following: the task after it, where it came in the same packet."""
        if self._is_alone(task):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mpibatch-prefetch", daemon=True)
            self._thread.start()
        with self._changed:
            self._request = _Request(following)
            self._changed.notify_all()

    def stop(self) -> None:
        """Returns when the thread is gone."""
        with self._changed:
            self._stopping = True
            self._request = None
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _is_alone(self, task: Task) -> bool:
        return task.is_part or task.tries > 1 or self._tries == 1

    def _load_now(self, task: Task) -> _LoadResult:
        began = time.monotonic()
        with self._loading:
            try:
                return _LoadResult(self._load(task), None, time.monotonic() - began)
            except BaseException as error:  # SystemExit too: it is for the main thread to judge
                return _LoadResult(None, error, time.monotonic() - began)

    # -- the reader's thread

    def _work(self) -> None:
        while (request := self._wait()) is not None:
            task = request.following or self._peek_next()
            if self._accept(request, task):
                assert task is not None
                result = self._load_now(task)
                with self._changed:
                    self._result = result
                    self._changed.notify_all()
                del result  # else it would live on while the next one is read

    def _wait(self) -> _Request | None:
        """Until a window opens; None when all is over."""
        with self._changed:
            while self._request is None and not self._stopping:
                self._changed.wait()
            return self._request

    def _peek_next(self) -> Task | None:
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

    def _accept(self, request: _Request, task: Task | None) -> bool:
        """Closes the window; whether it was still open, and `task` is to be read."""
        with self._changed:
            if self._request is not request:
                return False
            self._request = None
            if task is None or self._is_alone(task):
                return False
            self._task = task
            return True
