"""The end of an executor after the script's shutdown(): what the script has left behind is named, and not waited for.

The interpreter joins threads that are no daemons and runs the atexit handlers. What does not end by itself in
EXIT_SECONDS is told on stderr, which thread and where, and the process ends; its supervisor kills what it has started.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

EXIT_SECONDS = 1.0


def limit_exit() -> None:
    """From now on this process has EXIT_SECONDS to end by itself."""
    threading.Thread(target=_end, name="mpibatch-exit", daemon=True).start()


def _end() -> None:
    time.sleep(EXIT_SECONDS)
    text = f"mpibatch: shutdown() is over, but for {EXIT_SECONDS:g} s the process has not ended. It is ended now. "
    text += f"Left behind by the script: {'; '.join(_left_behind())}\n"
    with contextlib.suppress(OSError):
        os.write(2, text.encode("utf-8", "backslashreplace"))
    os._exit(0)


def _left_behind() -> Iterator[str]:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        where = f" at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" if frame else ""
        if thread is threading.main_thread():
            yield f"the main thread, which waits for threads or runs an atexit handler,{where}"
        elif not thread.daemon:
            yield f"thread {thread.name!r}{where}"
    for list_of_children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from (f"process {pid}" for pid in list_of_children.read_text().split())
