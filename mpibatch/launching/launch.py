"""Starts the ranks of a run and waits for it to end, judging by the run's own record.

    launcher (this process) --mpirun, in a session of its own--> ranks
    SIGINT, SIGTERM, SIGUSR1 here --SIGUSR1--> mpirun --> ranks: running mini-batches end, then exit 75
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from mpibatch.errors import ExitStatus
from mpibatch.launching.mpi import command, find_mpi
from mpibatch.runs.directory import RunDirectory, read_json
from mpibatch.runs.status import State

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def launch(directory: RunDirectory, ranks: int, env: Mapping[str, str]) -> ExitStatus:
    """Runs the run in `directory` with `ranks` ranks. Raises UsageError where no MPI is found."""
    several_hosts = int(env.get("SLURM_JOB_NUM_NODES", "1")) > 1
    mpi = find_mpi(env)
    process = subprocess.Popen(
        command(mpi, ranks, directory.path, several_hosts),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # so that Ctrl-C reaches mpirun only through us: it would give ranks 0.25 s
    )
    with _forwarding(process):
        process.wait()
    return judge(directory, process.returncode)


def judge(directory: RunDirectory, returned: int) -> ExitStatus:
    """How the run has ended: summary.json says; mpirun's status tells only where there is none."""
    if directory.summary.exists():
        state = State(read_json(directory.summary)["status"])
        return {State.COMPLETED: ExitStatus.COMPLETE, State.ABORTED: ExitStatus.ABORTED}.get(state, ExitStatus.STOPPED)
    if returned == ExitStatus.USAGE:
        return ExitStatus.USAGE  # rank 0 has said why
    how = f"signal {-returned}" if returned < 0 else f"status {returned}"
    print(
        f"mpibatch: mpirun ended with {how} before the run was complete; what was done is kept in {directory.path}. "
        f"See {directory.path / 'logs' / 'sys'} for each rank's last words.",
        file=sys.stderr,
    )
    return ExitStatus.STOPPED if directory.results(1).exists() else ExitStatus.ERROR


@contextmanager
def _forwarding(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """While it lasts, signals to us ask the ranks to stop; a second SIGINT ends them at once."""
    interrupts = 0

    def forward(number: int, frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += number == signal.SIGINT
        if interrupts > 1:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.send_signal(signal.SIGUSR1)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
