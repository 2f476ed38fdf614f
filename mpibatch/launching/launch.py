"""Starts the ranks of a run and waits for it to end, judging by the run's own record.

launcher (this process) --guardian--> mpirun, in a session of its own --> ranks
owner's beat standing still: rank 0 was stopped, or ranks wait for one that was: all are killed
SIGINT, SIGTERM, SIGUSR1 here --SIGUSR1--> mpirun --> ranks: running mini-batches end, then exit 75
"""

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from mpibatch.errors import TOLD, ExitStatus, RunDirectoryError
from mpibatch.launching.hosts import SHARED_STEPS, allocated, spread_again, spread_over
from mpibatch.launching.keeper import Kept
from mpibatch.launching.mpi import Mpi, command
from mpibatch.placement import limits
from mpibatch.runs.directory import RunDirectory, read_json
from mpibatch.runs.lease import Watch
from mpibatch.runs.log import results_in
from mpibatch.runs.record import Wishes, is_complete
from mpibatch.runs.status import State

BARREN = 2
LONGEST_BACK_OFF = 30.0  # seconds
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

_Mark = tuple[int, int] | None
_TOLD = {TOLD: ExitStatus.ERROR, ExitStatus.USAGE: ExitStatus.USAGE}  # rank 0 has said why


def launch(
    directory: RunDirectory, wishes: Wishes, mpi: Mpi, ranks: int, restarts: int, env: Mapping[str, str]
) -> ExitStatus:
    """Runs the run in `directory` to its end; if it dies it is started again, up to `restarts` times."""
    nodes = allocated(env)
    if nodes:
        env = {**env, **SHARED_STEPS}
    spread = first_spread = spread_over(ranks, nodes)
    again = replace(wishes, retry_failed=False)  # the log has a note of what is to be tried again
    barren = 0  # incarnations in a row that ended without a new record
    for incarnation in count():
        before, ended_before = recorded(directory), _mark(directory.summary)
        wished = wishes if incarnation == 0 else again
        with TemporaryDirectory(prefix="mpibatch-mpirun-", ignore_cleanup_errors=True) as scratch:
            process = Kept(command(mpi, ranks, directory.path, wished, spread, scratch), env)
            watch = Watch(directory, limits.together(ranks, env))
            with _forwarding(process) as asked:
                returned = process.wait(partial(_look_after, process, watch, asked))
        status = judge(directory, returned, ended_before)
        if status is not None:
            return status
        if not directory.run_json.exists():
            raise RunDirectoryError(f"{directory.path} is gone: it was deleted while the run was at work")
        if asked:  # before the ranks could hear of it, or a second time
            by = signal.Signals(asked[0]).name
            print(f"mpibatch: stopped by {by}: `mpibatch resume {directory.path}` goes on", file=sys.stderr, flush=True)
            return ExitStatus.STOPPED
        barren = 0 if recorded(directory) > before else barren + 1
        _explain(directory, returned)
        if barren == BARREN:
            print(f"mpibatch: {BARREN} times in a row without a result: {_in_flight(directory)}", file=sys.stderr)
        if incarnation >= restarts or barren == BARREN:
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


def _look_after(process: Kept, watch: Watch, asked: list[int]) -> None:
    """About once a second, while the ranks run."""
    if asked:
        process.signal(signal.SIGUSR1)  # again: an mpirun that is still starting its ranks passes nothing on
    if watch.is_silent():
        print("mpibatch: nothing is heard of the ranks any more: they are ended", file=sys.stderr, flush=True)
        process.kill()


def recorded(directory: RunDirectory) -> int:
    """Outcomes in the results logs."""
    with suppress(OSError):
        return sum(results_in(path) for path in directory.path.glob("results.*.log"))
    return 0


def judge(directory: RunDirectory, returned: int, before: _Mark = None) -> ExitStatus | None:
    """How the run has ended: its own record says, since mpirun's status can be 0 after a node was lost.

    before: what the summary was marked by when the ranks were started: one that is still the same says nothing of them
    None where it has no end: ranks died.
    """
    found = _mark(directory.summary)
    if found is not None and (found != before or is_complete(directory)):
        state = State(read_json(directory.summary)["status"])
        if state is State.STOPPED:
            return _TOLD.get(returned, ExitStatus.STOPPED)
        return ExitStatus.COMPLETE if state is State.COMPLETED else ExitStatus.ABORTED
    return _TOLD.get(returned)


def _mark(path: Path) -> _Mark:
    """Tells a file from one that has replaced it; None where there is none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None


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
def _forwarding(process: Kept) -> Iterator[list[int]]:
    """While it lasts, signals to us ask the ranks to stop; a second SIGINT ends them at once. Gives those that came."""
    asked: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if asked.count(signal.SIGINT) > 1:
            process.kill()
        else:
            process.signal(signal.SIGUSR1)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
