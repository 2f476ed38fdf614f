"""Starts the ranks of a run and waits for it to end, judging by the run's own record.

launcher (this process) --mpirun, in a session of its own--> ranks
SIGINT, SIGTERM, SIGUSR1 here --SIGUSR1--> mpirun --> ranks: running mini-batches end, then exit 75
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from types import FrameType

from mpibatch.errors import ExitStatus, RunDirectoryError
from mpibatch.launching.hosts import allocated, spread_again, spread_over
from mpibatch.launching.mpi import Mpi, command
from mpibatch.runs.directory import RunDirectory, read_json
from mpibatch.runs.record import Wishes
from mpibatch.runs.status import State

BARREN = 2
LONGEST_BACK_OFF = 30.0  # seconds
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def launch(
    directory: RunDirectory, wishes: Wishes, mpi: Mpi, ranks: int, restarts: int, env: Mapping[str, str]
) -> ExitStatus:
    """Runs the run in `directory` to its end; if it dies it is started again, up to `restarts` times."""
    nodes = allocated(env)
    spread = first_spread = spread_over(ranks, nodes)
    barren = 0  # incarnations in a row that ended without a new record
    for incarnation in count():
        before = recorded(directory)
        process = subprocess.Popen(
            command(mpi, ranks, directory.path, wishes if incarnation == 0 else Wishes(), spread),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C reaches mpirun only through us: it would give ranks 0.25 s
        )
        with _forwarding(process) as asked:
            process.wait()
        status = judge(directory, process.returncode)
        if status is not None:
            return status
        barren = 0 if recorded(directory) > before else barren + 1
        _explain(directory, process.returncode)
        if barren == BARREN and not asked:
            print(f"mpibatch: {BARREN} times in a row without a result: {_in_flight(directory)}", file=sys.stderr)
        if asked or incarnation >= restarts or barren == BARREN:
            return ExitStatus.STOPPED if directory.plan.exists() else ExitStatus.ERROR
        time.sleep(min(2.0**incarnation, LONGEST_BACK_OFF))
        if first_spread is not None:
            spread = spread_again(first_spread, nodes)
            ranks = spread.ranks
        where = f" on {', '.join(spread.hosts)}" if spread is not None and spread.hosts else ""
        print(
            f"mpibatch: starting again{where} ({incarnation + 1} of {restarts} restarts)", file=sys.stderr, flush=True
        )
    raise AssertionError("unreachable")


def recorded(directory: RunDirectory) -> int:
    """Bytes in the results logs: grows with every record."""
    return sum(path.stat().st_size for path in directory.path.glob("results.*.log"))


def judge(directory: RunDirectory, returned: int) -> ExitStatus | None:
    """How the run has ended: its own record says, since mpirun's status can be 0 after a node was lost.

    None where it has no end: ranks died.
    """
    if directory.summary.exists():
        state = State(read_json(directory.summary)["status"])
        if state is State.STOPPED:
            return ExitStatus(returned) if returned in (ExitStatus.ERROR, ExitStatus.USAGE) else ExitStatus.STOPPED
        return ExitStatus.COMPLETE if state is State.COMPLETED else ExitStatus.ABORTED
    return ExitStatus.USAGE if returned == ExitStatus.USAGE else None  # rank 0 has said why


def _explain(directory: RunDirectory, returned: int) -> None:
    how = f"signal {-returned}" if returned < 0 else f"status {returned}"
    print(
        f"mpibatch: mpirun ended with {how} before the run was complete: a rank was killed or lost. What was done is "
        f"kept: `mpibatch resume {directory.path}` goes on. Last words of each rank: {directory.path / 'logs' / 'sys'}",
        file=sys.stderr,
        flush=True,
    )


def _in_flight(directory: RunDirectory) -> str:
    """The mini-batches that were running when it ended, as far as status.json tells."""
    with suppress(RunDirectoryError):
        running = read_json(directory.status).get("in_flight", [])
        if running:
            return f"in flight were mini-batches {', '.join(map(str, running))}; does one of them bring a node down?"
    return "nothing was in flight yet"


@contextmanager
def _forwarding(process: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    """While it lasts, signals to us ask the ranks to stop; a second SIGINT ends them at once. Gives those that came."""
    asked: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if asked.count(signal.SIGINT) > 1:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.send_signal(signal.SIGUSR1)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
