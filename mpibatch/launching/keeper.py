"""mpirun under a guardian: nothing of a job outlives its launcher, and nothing of it outlives mpirun.

    launcher --(control socket)-- guardian --> mpirun --> ranks --> guardians --> executors

The guardian is that of an executor (execution/guardian.py). It kills all that is below it when the launcher is gone, in
whatever way, and when mpirun has ended, in whatever way; ranks whose mpirun was killed become its children first. Where
the guardian itself is killed, mpirun gets SIGKILL from the kernel, and the launcher, a subreaper too, does the rest.

mpirun is deaf to SIGTERM and SIGINT: a batch system that cancels a job sends them to all its processes, and Open MPI's
would then end the ranks within 0.25 s. Ranks hear them themselves, and the launcher passes them on as SIGUSR1.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from mpibatch.execution import guardian

KILLED = -9
LOOK_SECONDS = 1.0


class Kept:
    """One mpirun, from construction to `wait`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        guardian.prctl(guardian.PR_SET_CHILD_SUBREAPER, 1)
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, str(control.fileno()), guardian.DEAF, *command],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            pass_fds=(control.fileno(),),
            start_new_session=True,  # so that Ctrl-C reaches mpirun only through us: it would give ranks 0.25 s
        )
        control.close()

    def signal(self, number: int) -> None:
        """Sends `number` to mpirun."""
        self._say(b"%c%d" % (guardian.SIGNAL, number))

    def kill(self) -> None:
        """Ends mpirun and all that it has started, at once."""
        self._say(b"%c" % guardian.KILL)

    def wait(self, look: Callable[[], None] = lambda: None) -> int:
        """Until mpirun and all below it is gone; its exit status, or minus the signal that ended it.

        look: called about once a second meanwhile
        """
        status: int | None = None
        self._control.settimeout(LOOK_SECONDS)
        message: bytes | None = None
        while message != b"":
            message = None
            try:
                message = self._control.recv(64)
            except TimeoutError:
                look()
            except ConnectionError:
                break
            if message and message[0] == guardian.STATUS:
                status = os.waitstatus_to_exitcode(int(message[1:]))
        if status is None:
            while guardian.kill_descendants():
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                time.sleep(guardian.SWEEP_SECONDS)
        self._guardian.wait()
        self._control.close()
        return KILLED if status is None else status

    def _say(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self._control.send(message)
