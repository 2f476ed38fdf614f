"""What a run tells its user while it runs. Nobody need listen: a terminal or pipe that is gone never ends a run."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from mpibatch.escaping import escape_controls


class Console:
    """A stream that goes silent for good when it cannot be written to."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def notify(self, text: str) -> None:
        try:
            print(f"mpibatch: {escape_controls(text)}", file=self._stream, flush=True)
        except (OSError, ValueError):  # `| head` has seen enough, the terminal was closed, the disk is full
            redirect_to_null(self._stream)


class RunLog:
    """What a run tells is also kept, with the time, in the file at `path`, which may fail to be written."""

    def __init__(self, path: Path, notify: Callable[[str], None]) -> None:
        self._path = path
        self._notify = notify

    def notify(self, text: str) -> None:
        self._notify(text)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{stamp} {escape_controls(text)}\n")


def redirect_to_null(stream: TextIO) -> None:
    """What is written from now on goes nowhere, so that flushing it at the exit cannot fail either."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        return  # closed, or no file at all


def prepare_streams() -> None:
    """Printing never fails from now on.

    A stream that was closed, as a daemon may have it, leads nowhere. A path that is no UTF-8, or that the terminal's
    encoding lacks, is printed with escapes. To be called before any file is opened, which would take the closed place.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
