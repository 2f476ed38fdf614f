"""The supervisor: a small process between a rank and its executor that ends everything the user's script has started.
The launcher has mpirun under one, too: what is said of rank and executor here holds for launcher and mpirun.

    rank --(control socket)-- supervisor --fork, exec--> executor --> whatever the script starts, daemons included
      'K', or end of file: kill all      'P<pid>' started; 'S<status>' it has ended, and all its descendants too
      'U<signal>': send it this signal

It is a subreaper: descendants that lose their parent become its children, so that a daemon with a session of its own is
found as well. A rank that dies in whatever way closes the control socket. Run as a script with nothing but the standard
library, since it must start fast and stay small; `kill_descendants` is also what a rank uses when its
supervisor is gone.
"""

import contextlib
import os
import select
import signal
import socket
import time

from mpibatch.liveness.process_tree import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    SWEEP_SECONDS,
    kill_descendants,
    prctl,
    reap,
)

KILL, SIGNAL, STARTED, STATUS = b"KUPS"
IGNORE_SIGNALS = "--ignore-signals"
CGROUP = "--cgroup"


def start(command: list[str], control: socket.socket, blocked: list[signal.Signals], cgroup: str) -> int:
    """The executor as a child that does not outlive the supervisor, in `cgroup` if that is not ""."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.close()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if cgroup:
            enter(cgroup)
        try:
            os.execv(command[0], command)
        except OSError as error:
            os.write(2, f"mpibatch: cannot start {command[0]}: {error}\n".encode())
            os._exit(127)
    return pid


def enter(cgroup: str) -> None:
    """This process, and so all that it will start. The supervisor stays outside: it acts at the limit too."""
    with contextlib.suppress(OSError):  # it is gone, or not for us: the rank watches all the same
        descriptor = os.open(f"{cgroup}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        os.write(descriptor, b"0")
        os.close(descriptor)


def handle_control_message(control: socket.socket, executor: int) -> bool:
    """Does what the rank orders; False where everything is to be killed, or the rank is gone."""
    message = b""
    with contextlib.suppress(OSError):
        message = control.recv(64)
    if message[:1] != b"%c" % SIGNAL:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(executor, int(message[1:]))
    return True


def main(arguments: list[str]) -> None:
    """`supervisor_process CONTROL_FD [OPTIONS] COMMAND...`: runs COMMAND, and leaves nothing of it behind.

    --ignore-signals: SIGTERM and SIGINT do not reach it, only what comes over the socket
    --cgroup FOLDER:  a cgroup that it is to be in from its first instruction
    """
    control = socket.socket(fileno=int(arguments[0]))
    command, blocked, cgroup = arguments[1:], list[signal.Signals](), ""
    if command[0] == IGNORE_SIGNALS:
        blocked, command = [signal.SIGTERM, signal.SIGINT], command[1:]
    if command[0] == CGROUP:
        cgroup, command = command[1], command[2:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)  # a handler: what is ignored here the executor would ignore too
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    executor = start(command, control, blocked, cgroup)
    with contextlib.suppress(OSError):
        control.send(b"%c%d" % (STARTED, executor))
    poller = select.poll()  # select(2) ends at descriptor 1024, and the rank may have more
    for descriptor in (control.fileno(), wake_read):
        poller.register(descriptor, select.POLLIN)
    status: int | None = None
    while status is None:
        ready = [descriptor for descriptor, _ in poller.poll()]
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            status = reap(executor)
        if control.fileno() in ready and not handle_control_message(control, executor):
            break
    while kill_descendants():
        time.sleep(SWEEP_SECONDS)
        ended = reap(executor)
        status = ended if status is None else status
    ended = reap(executor)
    status = ended if status is None else status
    with contextlib.suppress(OSError):
        control.send(b"%c%d" % (STATUS, status or 0))
