"""A rank other than 0: its worker between two MPI calls.

rank 0 --Order--> worker.handle          worker.poll --Report--> rank 0
"""

import os
import signal
import time
from types import FrameType

from mpibatch.errors import StoppedEarly
from mpibatch.execution.messages import Beat, Gone, Leave, Results
from mpibatch.execution.worker import Worker
from mpibatch.mpi.hearing import Hearing
from mpibatch.mpi.lifeline import Lifeline
from mpibatch.mpi.messages import CallOff, Setup, Signalled
from mpibatch.mpi.pace import Pace
from mpibatch.mpi.spread import Answering
from mpibatch.mpi.transport import Transport
from mpibatch.types import ATTEMPT

BEAT_SECONDS = 5.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Signals:
    """Notes the signals that ask the run to stop, from construction on. One per process."""

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._interrupts = 0
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # mpirun is started deaf to some, and may hand that on

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._seen.append(number)
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            os._exit(128 + signal.SIGINT)  # the user means it; the guardian sees its socket close

    def take(self) -> list[int]:
        seen, self._seen[:] = list(self._seen), []
        return seen


class RankZeroLost(StoppedEarly):
    """Rank 0 has died or has not been heard of: nobody is left to work for."""


def wait_for_setup(transport: Transport) -> Setup | None:
    """What rank 0 sends when it has a plan; None where there will be no run. Until then it helps to make the plan.

    Raises RankZeroLost.
    """
    pace, answering = Pace(), Answering()
    while True:
        messages = transport.receive()
        for _, message in messages:
            if isinstance(message, Setup):
                return message
            if isinstance(message, CallOff):
                return None
            if (answer := answering.hear(message)) is not None:
                transport.send(0, answer)
        if 0 in transport.take_lost():
            raise RankZeroLost("rank 0 has died before the run began")
        pace.rest([], busy=bool(messages) or transport.sending)


def serve(transport: Transport, worker: Worker, signals: Signals, lifeline: Lifeline, rank_timeout: float) -> bool:
    """Works for rank 0 until told to leave; returns whether MPI_Finalize can be trusted.

    Raises RankZeroLost where rank 0 has died, or was silent for twice `rank_timeout` seconds; the executor is gone
    then.
    """
    pace, hearing, last_beat, trusted = Pace(), Hearing([0]), time.monotonic(), True
    while True:
        lifeline.hold(1.5 * rank_timeout)  # by then rank 0 has given it up
        orders = transport.receive()
        for _, order in orders:
            hearing.heard(0)
            if isinstance(order, CallOff):  # rank 0 could not begin after all
                worker.kill()
                return trusted
            trusted &= not (isinstance(order, Leave) and order.abrupt)
            worker.handle(order)
        reports = worker.poll()
        for report in reports:
            transport.send(0, report)
        for number in signals.take():
            transport.send(0, Signalled(number))
        if any(isinstance(report, Gone) for report in reports):
            return trusted
        if 0 in transport.take_lost() or hearing.silent(2 * rank_timeout):
            worker.kill()
            raise RankZeroLost(f"rank 0 has died, or was silent for {2 * rank_timeout:g} s")
        if time.monotonic() - last_beat > BEAT_SECONDS:
            last_beat = time.monotonic()
            transport.send(0, Beat())
        attempts = sum(len(report.records) // ATTEMPT.size for report in reports if isinstance(report, Results))
        pace.rest(worker.descriptors(), bool(orders or reports or transport.sending), attempts)
