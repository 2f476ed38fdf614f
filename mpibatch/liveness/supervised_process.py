"""A process under a supervisor: nothing that it starts outlives it, and nothing of it outlives its owner.

    owner --(control socket)-- supervisor --fork, exec--> process --> whatever it starts, daemons included
      launcher                               mpirun                     ranks, their supervisors, executors
      rank                                   executor                   what the user's script starts

The supervisor (supervisor_process.py) kills all that is below it when the owner is gone, in whatever way, and when the
process has ended, in whatever way. Where the supervisor itself is killed, its process gets SIGKILL from the kernel, and
the owner, which is a subreaper too, does the rest.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from mpibatch.liveness.helper_process import helper_command
from mpibatch.liveness.process_tree import (
    PR_SET_CHILD_SUBREAPER,
    SWEEP_SECONDS,
    children,
    descendants,
    kill_descendants,
    prctl,
)
from mpibatch.liveness.supervisor_process import CGROUP, IGNORE_SIGNALS, KILL, SIGNAL, STARTED, STATUS

KILLED = -9
TICK_SECONDS = 1.0


class SupervisedProcess:
    """One process, from construction to its end. Reading never blocks but in `wait`.

    pid:    its process number, once the supervisor has reported it
    status: its wait status, once it has ended; None where the supervisor was killed before it could report
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
        pass_fds: Sequence[int] = (),
        ignore_signals: bool = False,
        folder: str | None = None,
        cgroup: str | None = None,
    ) -> None:
        """ignore_signals: SIGTERM and SIGINT are blocked in it; only what `signal` sends reaches it.

        folder: its working directory; None for that of this process
        cgroup: the folder of one that it is to be in from its beginning; None for that of this process
        Raises OSError where there can be no process.
        """
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._before = frozenset(children(os.getpid()))  # the owner's own
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        supervisor = [*helper_command("supervisor_process"), str(control.fileno())]
        supervisor += [IGNORE_SIGNALS] if ignore_signals else []
        supervisor += [CGROUP, cgroup] if cgroup is not None else []
        with control, contextlib.ExitStack() as undo:
            undo.callback(self._control.close)
            self._supervisor = subprocess.Popen(
                [*supervisor, *command],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=dict(env),
                cwd=folder,
                pass_fds=(control.fileno(), *pass_fds),
                start_new_session=True,  # signals of the terminal and of mpirun are for the owner to judge
            )
            undo.pop_all()
        self._ended = False
        self.pid: int | None = None
        self.status: int | None = None

    def fileno(self) -> int:
        """For select: readable when `poll` has something to read."""
        return self._control.fileno()

    def poll(self) -> bool:
        """Reads what the supervisor reports; True once the process and all below it is gone."""
        if not self._ended:
            message: bytes | None = None
            try:
                while message := self._control.recv(64):
                    self._note(message)
            except BlockingIOError:
                return False
            except ConnectionError:
                pass
            self._end()
        return True

    def wait(self, on_tick: Callable[[], None] = lambda: None) -> int:
        """Until the process and all below it is gone; its exit status, or minus the signal that ended it.

        on_tick: called about once a second meanwhile
        """
        self._control.settimeout(TICK_SECONDS)
        message: bytes | None = None
        while message != b"":
            message = None
            try:
                message = self._control.recv(64)
            except TimeoutError:
                on_tick()
            except ConnectionError:
                break
            if message:
                self._note(message)
        self._end()
        self.close()
        return KILLED if self.status is None else os.waitstatus_to_exitcode(self.status)

    def tree(self) -> list[int]:
        """The process and all that it has started, daemons included."""
        return descendants(self._supervisor.pid)

    def signal(self, number: int) -> None:
        """Sends `number` to the process."""
        self._send(b"%c%d" % (SIGNAL, number))

    def kill(self) -> None:
        """Ends the process and all that it has started, at once. May be called from any thread."""
        self._send(b"%c" % KILL)

    def close(self) -> None:
        """After its end."""
        self._control.close()

    def _note(self, message: bytes) -> None:
        if message[0] == STARTED:
            self.pid = int(message[1:])
        elif message[0] == STATUS:
            self.status = int(message[1:])

    def _end(self) -> None:
        """The supervisor is gone, and with it the process, also where somebody has killed the supervisor itself."""
        if self.status is None:
            while kill_descendants(spare=self._before | {self._supervisor.pid}):
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                time.sleep(SWEEP_SECONDS)
        self._supervisor.wait()
        self._ended = True

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self._control.send(message)
