"""Processes as the kernel shows them below /proc: children, descendants, states; and the end of a whole tree.

Standard library only: helper processes import this with `python -I -S`, since they must start fast and stay small.
"""

import contextlib
import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SWEEP_SECONDS = 0.005


def prctl(option: int, value: int) -> None:
    """prctl(2). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def children(pid: int) -> list[int]:
    """Direct children of `pid`, of all its threads."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        if os.path.isdir(f"/proc/{pid}") and not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            return _children_by_scan(pid)  # a kernel built without CONFIG_PROC_CHILDREN
    except (ProcessLookupError, PermissionError):
        pass
    return found


def _children_by_scan(pid: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == pid:
                found.append(int(name))
    return found


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, parents first."""
    found = children(pid)
    for child in found:  # grows while it is walked
        found += children(child)
    return found


def kill_descendants(spare: frozenset[int] = frozenset()) -> bool:
    """Sends SIGKILL to everything below this process except `spare`; returns whether anything is still there."""
    alive = [pid for pid in descendants(os.getpid()) if pid not in spare]
    for pid in alive:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return bool(alive)


def reap(executor: int) -> int | None:
    """Collects every child that has ended; the wait status of `executor` if it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == executor:
                status = ended[1]
    return status


def state_and_parent(pid: int) -> tuple[bytes, int]:
    """See proc(5); nothing and 0 where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            return state, int(parent)
    except OSError:
        return b"", 0


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks: tells it from a later one of the same number.

    Field 22 of /proc/<pid>/stat; None where there is no such process, or only a zombie that its parent has not reaped.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
