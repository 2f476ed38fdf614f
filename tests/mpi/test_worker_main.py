"""A rank that can have no executor stays until rank 0 has heard so: MPI may abort whoever sends to one that left."""

import threading
import time

import pytest

from mpibatch.mpi.messages import CancelRun
from mpibatch.mpi.parallel_map import MapFunction
from mpibatch.mpi.worker_main import CoordinatorLost, wait_for_end
from mpibatch.worker.messages import Heartbeat, Shutdown, WorkerExited
from tests.mpi.test_worker_pool import Network


@pytest.mark.parametrize("skip_finalize", [False, True])
def test_it_stays_while_rank_0_plans_and_leaves_when_told(skip_finalize: bool) -> None:
    network, found = Network(), []
    rank = threading.Thread(target=lambda: found.append(wait_for_end(network, 60)))
    rank.start()
    network.arriving = [(0, MapFunction(1, str)), (0, Heartbeat())]
    time.sleep(0.2)
    assert rank.is_alive()
    assert network.sent == []
    network.arriving = [(0, Shutdown(kill=True, skip_finalize=skip_finalize))]
    rank.join(10)
    assert found == [not skip_finalize]
    assert network.sent == [(0, WorkerExited())]


def test_it_leaves_where_there_will_be_no_run() -> None:
    network = Network()
    network.arriving = [(0, CancelRun())]
    assert wait_for_end(network, 60)


def test_it_leaves_where_rank_0_is_silent() -> None:
    with pytest.raises(CoordinatorLost, match="coordinator_timeout"):
        wait_for_end(Network(), 0.05)
