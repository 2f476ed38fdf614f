"""Whether the kernel has ended a process of this executor's cgroup for the memory that they use together.

    memory.events (cgroup v2) or memory.oom_control (v1), lines of a name and a number --> `oom_kill` --> end_if_any

The kernel may end one process of many (v2 is told to end all): something that the script has started. What the script
makes of that is worth nothing, be it an error about a child that is gone or rows that lack what the child would have
given. So the executor ends too, before anything is sent; the worker sees how, and where it was.
"""

import contextlib
import os
import signal
from dataclasses import replace
from typing import Any

from mpibatch.executor.entry_script import EntryScript


class OomKills:
    """path: of the kernel's file, "" where the executor has no cgroup of its own."""

    def __init__(self, path: str) -> None:
        self._pid = os.getpid()
        self._file = -1
        if path:
            with contextlib.suppress(OSError):  # the worker looks too
                self._file = os.open(path, os.O_RDONLY)

    def watching(self, script: EntryScript) -> EntryScript:
        """The script, whose run() does not come back, or raise, after there was one."""
        if self._file < 0:
            return script

        def run(*arguments: Any) -> Any:
            try:
                return script.run(*arguments)
            finally:
                self.end_if_any()

        return replace(script, run=run)

    def end_if_any(self) -> None:
        """Does not come back where there was one. In a process that the script has forked it does nothing."""
        if self._file < 0 or os.getpid() != self._pid:
            return
        with contextlib.suppress(OSError):  # a script may close what it has not opened
            if oom_kills(os.pread(self._file, 4096, 0)):
                os.kill(self._pid, signal.SIGKILL)


def oom_kills(text: bytes) -> int:
    """How many processes, by the kernel's file."""
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(b"oom_kill "))
