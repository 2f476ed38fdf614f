"""Finding the processes of a test by a mark in their environment, wherever they have been reparented to."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "MPIBATCH_TEST_MARK"


def marked(mark: str) -> Iterator[int]:
    """Processes that live (zombies do not) and have MARK=mark in the environment they were started with."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
            except OSError:  # it has ended meanwhile
                continue


def is_there(pid: int) -> bool:
    """Whether it lives; a zombie does not."""
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return "(ended)"


def none_left(mark: str, within: float = 2.0, but: Callable[[int], bool] = lambda pid: False) -> None:
    """Fails with the command lines of what is still there after `within` seconds. but: tells those that may be."""
    until = time.monotonic() + within
    while left := [pid for pid in marked(mark) if not but(pid)]:
        if time.monotonic() > until:
            raise AssertionError("still there: " + "; ".join(f"{pid} {command(pid)}" for pid in left))
        time.sleep(0.02)
