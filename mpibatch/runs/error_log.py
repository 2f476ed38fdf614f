"""logs/user/error.txt: each failed attempt in a line, and each traceback once; the first on top."""

import os

from mpibatch.attempts import Failure
from mpibatch.errors import RunDirectoryError
from mpibatch.escaping import escape_controls
from mpibatch.files import write_all, write_error
from mpibatch.runs.directory import RunDirectory
from mpibatch.types import UNKNOWN

LIMIT_BYTES = 64 << 20
TRACEBACKS_REMEMBERED = 1000


class ErrorLog:
    """Open for writing, after what is there, from construction to `close`. Raises RunDirectoryError."""

    def __init__(self, directory: RunDirectory, limit: int = LIMIT_BYTES) -> None:
        self._path = directory.error_log
        self._limit = limit
        self._tracebacks: set[str] = set()  # that stand in it
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RunDirectoryError(f"cannot create {self._path}: {error.strerror}") from error
        self._size = os.fstat(self._descriptor).st_size

    def write(self, failure: Failure, mini_batch: int = UNKNOWN) -> None:
        """A line, and the traceback unless it was there already; nothing more once the file is full."""
        if self._size >= self._limit:
            return
        where = "" if mini_batch == UNKNOWN else f"mini-batch {mini_batch}, "
        text = f"{where}rank {failure.rank} on {failure.host}, try {failure.tries}: {failure.cause}: {failure.error}\n"
        trace = failure.traceback.rstrip()
        if trace and trace in self._tracebacks:
            text += "(traceback as before)\n"
        elif trace:
            text += f"{trace}\n"
            self._tracebacks.add(trace)
            if len(self._tracebacks) > TRACEBACKS_REMEMBERED:
                self._tracebacks.clear()
        data = escape_controls(f"{text}\n").encode("utf-8", "backslashreplace")
        self._size += len(data)
        if self._size >= self._limit:
            data += b"mpibatch: this file is full; failed_items.jsonl has every item that failed\n"
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            raise write_error(self._path, error) from error

    def close(self) -> None:
        os.close(self._descriptor)
