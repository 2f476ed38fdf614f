"""One rank from start to end: connect, agree on the job, register, coordinate or work, and the run's exit status.

connect(env) --> Transport --> rank 0: run_coordinator    plan, RunSetup, Coordinator, output closed, summary.json
                           --> others: run_worker         wait for RunSetup, Worker between MPI calls
"""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mpibatch.cluster.environment import detect_launcher
from mpibatch.config.schema import Job
from mpibatch.errors import REASON_PRINTED, ExitStatus, MpibatchError, StoppedEarly
from mpibatch.escaping import escape_controls
from mpibatch.executor import staging
from mpibatch.exiting import end_process
from mpibatch.liveness import timers
from mpibatch.liveness.deadman import DeadmanSwitch
from mpibatch.liveness.process_tree import PR_SET_CHILD_SUBREAPER, prctl
from mpibatch.mpi.connect import connect
from mpibatch.mpi.messages import CancelRun
from mpibatch.mpi.registration import register
from mpibatch.mpi.signals import StopSignals
from mpibatch.mpi.transport import Transport
from mpibatch.mpi.worker_main import CoordinatorLost, run_worker, wait_for_end, wait_for_setup
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.resume import RunContext
from mpibatch.worker.spawn import staging_folder

logger = logging.getLogger(__name__)

ContextFactory = Callable[[], RunContext]


def run_rank(make_context: ContextFactory, env: Mapping[str, str], deadman: DeadmanSwitch) -> ExitStatus:
    """Runs this process as a rank, or as all of a run of one. `make_context` is called on rank 0 only.

    Prints what went wrong to stderr; never raises for a user's mistake.
    """
    signals = StopSignals()
    launcher = detect_launcher(env)
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # what an executor leaves behind when its supervisor is killed comes to us
    logging.raiseExceptions = False  # a full disk is for the results log to report
    try:
        with deadman.armed(
            timers.startup_timeout(1 if launcher is None else launcher.size or 1, env), "startup_timeout"
        ):
            transport = connect(launcher, env)
    except MpibatchError as error:
        if launcher is None or launcher.rank == 0:  # the others would say the same
            print(f"mpibatch: {escape_controls(str(error))}", file=sys.stderr, flush=True)
        if isinstance(error, StoppedEarly):
            os._exit(error.status)  # MPI_Finalize would wait for the dead
        return error.status
    can_finalize = True
    try:
        if transport.rank == 0:
            status = _run_coordinator(make_context, transport, signals, deadman)
        else:
            can_finalize = _run_worker(transport, signals, deadman)
            status = ExitStatus.COMPLETE
    except Exception as error:
        for rank in range(1, transport.size) if transport.rank == 0 else ():
            transport.send(rank, CancelRun())
        _report_error(error, transport.rank)
        can_finalize = isinstance(error, MpibatchError) and not isinstance(error, CoordinatorLost)
        status = error.status if isinstance(error, MpibatchError) else ExitStatus.ERROR
    # MPI_Finalize waits for ranks that nobody has noticed to be lost
    deadman.arm(timers.startup_timeout(transport.size, env), "startup_timeout")
    transport.close()
    if transport.has_failures or not can_finalize or launcher is None:
        # Everything is durable by now. MPI_Finalize may wait for the dead, and a run of one rank has none. All others
        # end as programs do: only in an exit handler MPICH tells its mpirun that the end is in order
        end_process(REASON_PRINTED if status is ExitStatus.ERROR else status)
    return status


def _report_error(error: Exception, rank: int) -> None:
    """On stderr, in words; an exception that nobody has foreseen with its traceback, which says where to look."""
    if isinstance(error, MpibatchError):
        logger.error("%s", error)
        if isinstance(error, CoordinatorLost):
            return  # the launcher says so to the user
        print(f"mpibatch: {escape_controls(str(error))}", file=sys.stderr, flush=True)
        return
    logger.error("unexpected", exc_info=error)
    trace = "".join(traceback.format_exception(error))
    print(
        f"mpibatch: rank {rank} on {os.uname().nodename} ended with an unexpected error, most likely a fault of "
        f"mpibatch or of the MPI library. What was done is kept, and the run can be resumed.\n{trace}",
        file=sys.stderr,
        flush=True,
    )


def _run_coordinator(
    make_context: ContextFactory, transport: Transport, signals: StopSignals, deadman: DeadmanSwitch
) -> ExitStatus:
    from mpibatch.mpi.coordinator_main import run_coordinator

    context = make_context()
    with _cleanup_staging(context.job, context.directory):
        return run_coordinator(context, transport, signals, deadman, sys.stdout)


def _run_worker(transport: Transport, signals: StopSignals, deadman: DeadmanSwitch) -> bool:
    """Whether MPI_Finalize can be trusted."""
    setup = wait_for_setup(transport)
    if setup is not None:
        registered, worker = register(setup, transport, deadman)
        transport.send(0, registered)
        if worker is None:
            return wait_for_end(transport, setup.job.config.rank_timeout)
        with _cleanup_staging(setup.job, RunDirectory(Path(setup.directory))):
            return run_worker(transport, worker, signals, deadman, setup.job.config.rank_timeout)
    return True


@contextlib.contextmanager
def _cleanup_staging(job: Job, directory: RunDirectory) -> Iterator[None]:
    """At its end copies of side inputs are removed, if no executor of this node needs them any more."""
    try:
        yield
    finally:
        staging.remove(staging_folder(job, directory, os.environ))
