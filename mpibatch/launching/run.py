"""The one way to run a job: starts its ranks and waits for them to end, judging by the run's own record.

launcher (this process) --supervisor--> mpirun, in a session of its own --> ranks      (one rank needs no mpirun)
the lease is not renewed any more: rank 0 was stopped, or ranks wait for one that was: all are killed
Ctrl-C, SIGTERM, SIGUSR1 here --SIGUSR1--> mpirun --> ranks: running mini-batches end, then exit 75
                              before rank 0 owns the run: all are killed, and nothing is lost by that
"""

import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Self

from mpibatch.errors import REASON_PRINTED, ExitStatus, RunDirectoryError
from mpibatch.escaping import escape_controls
from mpibatch.launching.hosts import SHARED_STEPS, allocation_hosts, lay_out, lay_out_again
from mpibatch.launching.mpi_installation import MpiInstallation, MpiSearch
from mpibatch.launching.mpirun import mpirun_command, rank_command, scratch_flags
from mpibatch.launching.mpirun_environment import mpirun_environment
from mpibatch.launching.network import network_flags
from mpibatch.liveness import timers
from mpibatch.liveness.lease import LeaseMonitor
from mpibatch.liveness.stop_signals import PASSED_ON, STOP_SIGNALS, signal_name
from mpibatch.liveness.supervised_process import SupervisedProcess
from mpibatch.placement.layout import layout_warnings, requested_layout
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.log_records import has_records, has_results
from mpibatch.runs.resume import RunContext
from mpibatch.runs.summary import RunState, Summary
from mpibatch.worker.cgroup import find_delegation, room_for_cgroups

MAX_FRUITLESS = 2
LONGEST_BACK_OFF = 30.0  # seconds
LOOK_SECONDS = 0.1  # between two looks for a signal

_FileId = tuple[int, int] | None
_PRINTED = {REASON_PRINTED: ExitStatus.ERROR, ExitStatus.USAGE: ExitStatus.USAGE}  # rank 0 has said why


def run(
    make_context: Callable[[], RunContext],
    ranks: int | None,
    restarts: int,
    env: Mapping[str, str],
    notify: Callable[[str], None],
) -> ExitStatus:
    """Runs a run to its end. To be called in the main thread, since it handles signals while it waits.

    make_context: gives the run; called once, while other processes look for MPI
    ranks:        how many; None for as many as the job's settings want on this machine or allocation
    restarts:     how often ranks that died are started again
    env:          of this process, complete
    notify:       is told, in words, what the user should know
    Raises MpibatchError where the run cannot even begin.
    """
    env = mpirun_environment(env, notify)
    search = MpiSearch(env) if ranks != 1 else None
    context = make_context()
    config = context.job.config
    layout = requested_layout(config, env)
    total = ranks or layout.total
    if ranks is None and config.process_count_per_node is None:
        notify(
            f"{total} ranks: one for each GPU, else each core, of a node (process_count_per_node: auto); or say -n N"
        )
    for warning in layout_warnings(total, ranks, config, env):
        notify(f"warning: {warning}")
    mpi = search.result() if search is not None and total > 1 else None
    with StopSignals(config.grace) as stop:
        return _launch(context, mpi, total, restarts, env, notify, stop)


def _launch(
    context: RunContext,
    mpi: MpiInstallation | None,
    ranks: int,
    restarts: int,
    env: Mapping[str, str],
    notify: Callable[[str], None],
    stop: "StopSignals",
) -> ExitStatus:
    """The ranks of a run, started again up to `restarts` times. mpi: None for one rank."""
    directory, options = context.directory, context.options
    nodes = allocation_hosts(env) if mpi is not None else ()
    if nodes:
        env = {**env, **SHARED_STEPS}
    layout = first_layout = lay_out(ranks, nodes) if mpi is not None else None
    silence = timers.run_silence(timers.startup_timeout(ranks, env))
    fruitless = 0  # incarnations in a row that ended without a new record
    for incarnation in count():
        logs_before, summary_before = set(directory.results_logs()), _file_id(directory.summary)
        with TemporaryDirectory(prefix="mpibatch-mpirun-", ignore_cleanup_errors=True) as scratch:
            command = rank_command(directory.path, options)
            if mpi is not None:
                network = network_flags(mpi, nodes, env)
                command = [*mpirun_command(mpi, ranks, layout, network), *scratch_flags(mpi, scratch), *command]
            room = room_for_cgroups(find_delegation() if context.job.config.memory_per_process else None)
            with room, closing(LeaseMonitor(directory.path, silence)) as monitor:
                process = SupervisedProcess(command, env, ignore_signals=mpi is not None)
                with stop.forwarded_to(process, monitor.has_owner):
                    returned = process.wait(partial(_on_tick, process, monitor, stop, notify))
        ranks_lost = _lost_every_rank(directory, summary_before) and not stop.received and incarnation < restarts
        status = None if ranks_lost else run_exit_status(directory, returned, summary_before)
        if status is not None:
            return status
        if not directory.run_json.exists():
            raise RunDirectoryError(f"{directory.path} is gone: it was deleted while the run was at work")
        if stop.received:  # before the ranks could hear of it, or a second time
            return _stopped_by_signal(directory, stop.received, notify)
        logs = [path for epoch, path in directory.results_logs().items() if epoch not in logs_before]
        if any(map(has_records, logs)):
            options = replace(options, retry_failed=False)  # the log says what is to be tried again
        fruitless = 0 if any(map(has_results, logs)) else fruitless + 1
        came_up = mpi is None or any((directory.path / "logs" / "sys").rglob("rank*"))
        what = "the rank" if mpi is None else "mpirun"
        end = _unexpected_end(directory, returned, what) if came_up else _no_rank_came_up(command, returned, env)
        notify(end)
        _log(directory, end)
        if fruitless == MAX_FRUITLESS:
            notify(f"{MAX_FRUITLESS} times in a row without a result: {_in_flight(directory)}")
        if incarnation >= restarts or fruitless == MAX_FRUITLESS:
            return ExitStatus.STOPPED
        if stop.wait(min(2.0**incarnation, LONGEST_BACK_OFF)):
            return _stopped_by_signal(directory, stop.received, notify)
        if first_layout is not None:
            layout = lay_out_again(first_layout, nodes)
            ranks = layout.ranks
        where = f" on {', '.join(layout.hosts)}" if layout is not None and layout.hosts else ""
        notify(f"starting again{where} ({incarnation + 1} of {restarts} restarts)")
    raise AssertionError("unreachable")


def _on_tick(
    process: SupervisedProcess, monitor: LeaseMonitor, stop: "StopSignals", notify: Callable[[str], None]
) -> None:
    """About once a second, while the ranks run."""
    stop.repeat(notify)
    if monitor.expired():
        notify(f"the run's lease was not renewed for {monitor.limit:g} s (run_silence): the ranks are killed")
        process.kill()


def run_exit_status(directory: RunDirectory, returned: int, before: _FileId = None) -> ExitStatus | None:
    """How the run has ended: its own record says, since mpirun's status can be 0 after a node was lost.

    before: what the summary was marked by when the ranks were started: one that is still the same says nothing of them
    None where it has no end: ranks died.
    """
    found = _file_id(directory.summary)
    summary = Summary.read(directory)
    if summary is None or (found == before and summary.status is not RunState.COMPLETED):
        return _PRINTED.get(returned)
    status = summary.status.exit_status
    unsaid = found == before or status is ExitStatus.STOPPED  # by the summary: a refused wish, why a run stopped early
    return _PRINTED.get(returned, status) if unsaid else status


def _lost_every_rank(directory: RunDirectory, before: _FileId) -> bool:
    """Whether these ranks ended in order, since all that worked were lost: others may go on."""
    summary = Summary.read(directory)
    return summary is not None and summary.ranks_lost and _file_id(directory.summary) != before


def _stopped_by_signal(directory: RunDirectory, received: list[int], notify: Callable[[str], None]) -> ExitStatus:
    notify(f"stopped by {signal_name(received[0])}: `mpibatch resume {directory.path}` continues it")
    return ExitStatus.STOPPED


def _file_id(path: Path) -> _FileId:
    """Tells a file from one that has replaced it; None where there is none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _no_rank_came_up(command: list[str], returned: int, env: Mapping[str, str]) -> str:
    taken = sorted(name for name in env if name.startswith(("OMPI_", "PRTE_", "PMIX_", "HYDRA_")))
    allocation = f"Slurm's job {env['SLURM_JOB_ID']}" if "SLURM_JOB_ID" in env else "none"
    return (
        f"no rank came up: mpirun ended with status {returned}, and its own last words are above. "
        f"The command: {shlex.join(command)}. Its allocation: {allocation}. Settings of MPI that it took from the "
        f"environment: {', '.join(taken) or 'none'}. Try `mpibatch doctor --try`, or `-n 1`, which needs no MPI"
    )


def _unexpected_end(directory: RunDirectory, returned: int, what: str) -> str:
    how = f"signal {-returned}" if returned < 0 else f"status {returned}"
    return (
        f"{what} ended with {how} before the run was complete: a rank was killed or lost. What was done is kept: "
        f"`mpibatch resume {directory.path}` continues it. Logs of the ranks: {directory.path / 'logs' / 'sys'}"
    )


def _log(directory: RunDirectory, text: str) -> None:
    """Beside the logs of the ranks, which may not have come to write one."""
    path = directory.path / "logs" / "sys" / "launcher.txt"
    with suppress(OSError):
        directory.make_parent(path)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {escape_controls(text)}\n")


def _in_flight(directory: RunDirectory) -> str:
    """The mini-batches that were running when it ended, as far as status.json tells."""
    with suppress(RunDirectoryError):
        status = Summary.read_status(directory)
        if status is not None and status.in_flight:
            running = ", ".join(map(str, status.in_flight))
            return f"in flight were mini-batches {running}; does one of them bring a node down?"
    return "nothing was in flight yet"


class StopSignals:
    """While it lasts, also between two incarnations, signals to us ask the ranks to stop; a second Ctrl-C ends them.

    grace:    seconds that running mini-batches get
    received: the signals that came
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._told = False
        self.received: list[int] = []
        self._process: SupervisedProcess | None = None
        self._can_hear: Callable[[], bool] = lambda: False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def forwarded_to(self, process: SupervisedProcess, can_hear: Callable[[], bool]) -> Iterator[None]:
        """To the ranks that `process` has started.

        can_hear: whether they have begun. One that has no handler yet dies of the signal, and the others would wait
        for it in MPI_Init; until then they are killed.
        """
        self._process, self._can_hear = process, can_hear
        try:
            yield
        finally:
            self._process = None

    def wait(self, seconds: float) -> bool:
        """Whether one has come; waits for it."""
        until = time.monotonic() + seconds
        while not self.received and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        return bool(self.received)

    def repeat(self, notify: Callable[[str], None]) -> None:
        """Asks again, where it was not heard. Tells once what happens now."""
        if not self.received or self._process is None:
            return
        self._pass_on(self._process)
        if not self._told and self._can_hear():
            self._told = True
            first = self.received[0]
            again = "; Ctrl-C once more ends them at once" if first == signal.SIGINT else ""
            notify(f"{signal_name(first)}: running mini-batches get {self._grace:g} s to end (grace){again}")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)
        if self._process is None:
            return
        if self.received.count(signal.SIGINT) > 1:
            self._process.kill()
        else:
            self._pass_on(self._process)

    def _pass_on(self, process: SupervisedProcess) -> None:
        if self._can_hear():
            process.signal(PASSED_ON)
        else:
            process.kill()
