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
from mpibatch.worker import background
from mpibatch.worker.messages import Heartbeat, Results, Shutdown, WorkerExited
from mpibatch.worker.worker import Worker

MOST_UNSENT_BYTES = 32 << 20
"""While rank 0 has more still to take the executor is read no further: soon it waits, and memory stays bounded."""


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


def wait_for_end(transport: Transport, rank_timeout: float) -> bool:
    """For a rank that can have no executor: until rank 0, which may still plan, has heard so and ends the run.

    One that left earlier would be in MPI_Finalize while rank 0 sends it something, and MPI may abort both. Returns
    whether MPI_Finalize can be trusted. Raises CoordinatorLost.
    """
    backoff, detector, patience = Backoff(), FailureDetector([0]), timers.coordinator_timeout(rank_timeout)
    while True:
        messages = transport.receive()
        for _, message in messages:
            detector.heartbeat(0)
            if isinstance(message, Shutdown):
                transport.send(0, WorkerExited())
                return not message.skip_finalize
            if isinstance(message, CancelRun):
                return True
        _ensure_heard(transport, detector, patience)
        backoff.wait([], bool(messages) or transport.is_busy)


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
    with heartbeat.running(), background.giving_way():
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
        attempts, exited = _report(transport, worker)
        for number in signals.drain():
            transport.send(0, SignalReceived(number))
        if exited:
            return can_finalize
        try:
            _ensure_heard(transport, detector, patience)
        except CoordinatorLost:
            worker.kill()
            raise
        backoff.wait(worker.fds(), bool(orders or transport.is_busy), attempts)


def _ensure_heard(transport: Transport, detector: FailureDetector, patience: float) -> None:
    """Raises CoordinatorLost where rank 0 has died or is silent."""
    if 0 in transport.take_failed() or detector.suspected(patience):
        raise CoordinatorLost(f"rank 0 has died, or was silent for {patience:g} s (coordinator_timeout)")


def _report(transport: Transport, worker: Worker) -> tuple[int, bool]:
    """Sends what the worker has to report; returns how many attempts that were, and whether it has exited.

    Once it returns only the transport holds the reports, and that until they are taken: their rows may be large.
    """
    attempts, exited = 0, False
    for report in worker.poll(reading=transport.unsent_bytes < MOST_UNSENT_BYTES):
        transport.send(0, report)
        if isinstance(report, Results):
            attempts += len(report.records) // ATTEMPT.size
        exited |= isinstance(report, WorkerExited)
    return attempts, exited
