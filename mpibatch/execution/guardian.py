"""The guardian: a small process between a rank and its executor that ends everything the user's script has started.
The launcher has mpirun under one, too: what is said of rank and executor here holds for launcher and mpirun.

    rank --(control socket)-- guardian --fork, exec--> executor --> whatever the script starts, daemons included
      'K', or end of file: kill all      'P<pid>' started; 'S<status>' it has ended, and all its descendants too
      'U<signal>': send it this signal

It is a subreaper: descendants that lose their parent become its children, so that a daemon with a session of its own is
found as well. A rank that dies in whatever way closes the control socket. Run as a script with nothing but the standard
library, since it must start fast and stay small; `kill_descendants` is also what a rank uses when its guardian is gone.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SWEEP_SECONDS = 0.005
KILL, SIGNAL, STARTED, STATUS = b"KUPS"
DEAF = "--deaf"


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


def start(command: list[str], control: socket.socket, deaf_to: list[signal.Signals]) -> int:
    """The executor as a child that does not outlive the guardian."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.close()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, deaf_to)
        try:
            os.execv(command[0], command)
        except OSError as error:
            os.write(2, f"mpibatch: cannot start {command[0]}: {error}\n".encode())
            os._exit(127)
    return pid


def obeyed(control: socket.socket, executor: int) -> bool:
    """Does what the rank says; False where everything is to be killed, or the rank is gone."""
    message = b""
    with contextlib.suppress(OSError):
        message = control.recv(64)
    if message[:1] != b"%c" % SIGNAL:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(executor, int(message[1:]))
    return True


def main(arguments: list[str]) -> None:
    """`guardian.py CONTROL_FD [--deaf] COMMAND...`: runs COMMAND, and leaves nothing of it behind.

    --deaf: SIGTERM and SIGINT do not reach it, only what comes over the socket
    """
    control = socket.socket(fileno=int(arguments[0]))
    deaf_to = [signal.SIGTERM, signal.SIGINT] if arguments[1] == DEAF else []
    command = arguments[1 + bool(deaf_to) :]
    for harmless in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(harmless, lambda *_: None)  # a handler: what is ignored here the executor would ignore too
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    executor = start(command, control, deaf_to)
    with contextlib.suppress(OSError):
        control.send(b"%c%d" % (STARTED, executor))
    status: int | None = None
    while status is None:
        ready, _, _ = select.select([control.fileno(), wake_read], [], [])
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            status = reap(executor)
        if control.fileno() in ready and not obeyed(control, executor):
            break
    while kill_descendants():
        time.sleep(SWEEP_SECONDS)
        ended = reap(executor)
        status = ended if status is None else status
    ended = reap(executor)
    status = ended if status is None else status
    with contextlib.suppress(OSError):
        control.send(b"%c%d" % (STATUS, status or 0))


if __name__ == "__main__":
    main(sys.argv[1:])
