"""What a run tells its user while it runs. Nobody need listen: a terminal or pipe that is gone never ends a run."""

import io
import os
import sys
from typing import TextIO


class Console:
    """A stream that goes silent for good when it cannot be written to."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def tell(self, text: str) -> None:
        try:
            print(f"mpibatch: {text}", file=self._stream, flush=True)
        except (OSError, ValueError):  # `| head` has seen enough, the terminal was closed, the disk is full
            silence(self._stream)


def silence(stream: TextIO) -> None:
    """What is written from now on goes nowhere, so that flushing it at the exit cannot fail either."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return  # closed, or no file at all


def print_anything() -> None:
    """A path that is no UTF-8, or that the terminal's encoding lacks, is printed with escapes: printing never fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
