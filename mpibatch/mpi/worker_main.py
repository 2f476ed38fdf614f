"""A rank other than 0: its worker between two MPI calls.

rank 0 --Order----> worker.handle          worker.poll --Report-----> rank 0
rank 0 --MapTask--> map_server.handle, while its executor starts --MapResult--> rank 0
"""

from mpibatch.attempts import ATTEMPT
from mpibatch.errors import StoppedEarly
from mpibatch.liveness import timers
from mpibatch.liveness.deadman import DeadmanSwitch
from mpibatch.liveness.failure_detector import FailureDetector
from mpibatch.mpi.backoff import Backoff
from mpibatch.mpi.heartbeat_thread import HeartbeatThread
from mpibatch.mpi.messages import CancelRun, RunSetup, SignalReceived
from mpibatch.mpi.parallel_map import MapFunction, MapServer, MapTask
from mpibatch.mpi.signals import StopSignals
from mpibatch.mpi.transport import Transport
from mpibatch.worker.messages import Heartbeat, Results, Shutdown, WorkerExited
from mpibatch.worker.worker import Worker


class CoordinatorLost(StoppedEarly):
    """Rank 0 has died or is silent: nobody is left to work for."""


def wait_for_setup(transport: Transport) -> RunSetup | None:
    """What rank 0 sends when it knows that there is something to do; None where there will be no run.

    Raises CoordinatorLost.
    """
    backoff = Backoff()
    while True:
        messages = transport.receive()
        for _, message in messages:
            if isinstance(message, RunSetup):
                return message
            if isinstance(message, CancelRun):
                return None
        if 0 in transport.take_failed():
            raise CoordinatorLost("rank 0 has died before the run began")
        backoff.wait([], busy=bool(messages) or transport.is_busy)


def run_worker(
    transport: Transport, worker: Worker, signals: StopSignals, deadman: DeadmanSwitch, rank_timeout: float
) -> bool:
    """Works for rank 0 until the worker has exited; returns whether MPI_Finalize can be trusted.

    Raises CoordinatorLost where rank 0 has died, or was silent for `coordinator_timeout`; the executor is gone
    then.
    """
    limit = timers.deadman_timeout(transport.rank, rank_timeout)
    heartbeat = HeartbeatThread(
        lambda: deadman.arm(limit, "deadman"), lambda: transport.send(0, Heartbeat()), rank_timeout
    )
    with heartbeat.running():
        return _work(transport, worker, signals, heartbeat, timers.coordinator_timeout(rank_timeout))


def _work(
    transport: Transport, worker: Worker, signals: StopSignals, heartbeat: HeartbeatThread, patience: float
) -> bool:
    backoff, detector, map_server, can_finalize = Backoff(), FailureDetector([0]), MapServer(), True
    while True:
        heartbeat.turned()
        orders = transport.receive()
        for _, order in orders:
            detector.heartbeat(0)
            if isinstance(order, CancelRun):  # rank 0 could not begin after all
                worker.kill()
                return can_finalize
            if isinstance(order, MapFunction | MapTask):
                if (result := map_server.handle(order)) is not None:
                    transport.send(0, result)
                continue
            can_finalize &= not (isinstance(order, Shutdown) and order.skip_finalize)
            worker.handle(order)
        reports = worker.poll()
        for report in reports:
            transport.send(0, report)
        for number in signals.drain():
            transport.send(0, SignalReceived(number))
        if any(isinstance(report, WorkerExited) for report in reports):
            return can_finalize
        if 0 in transport.take_failed() or detector.suspected(patience):
            worker.kill()
            raise CoordinatorLost(f"rank 0 has died, or was silent for {patience:g} s (coordinator_timeout)")
        attempts = sum(len(report.records) // ATTEMPT.size for report in reports if isinstance(report, Results))
        backoff.wait(worker.fds(), bool(orders or transport.is_busy), attempts)
