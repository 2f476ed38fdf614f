"""What under_mpirun.py asserts on each of three real ranks (pytest-mpi): their messages, and a plan made by all."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from mpibatch.cluster.environment import without_launcher_variables
from tests.conftest import ROOT, Job, mpirun

pytestmark = pytest.mark.processes


def test_on_three_ranks(either_mpi: Job, tmp_path: Path) -> None:
    pytest_words = ["-m", "pytest", "--only-mpi", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist"]
    words = ["--import-mode=importlib", "--timeout=60", str(Path(__file__).with_name("under_mpirun.py"))]
    done = subprocess.run(
        [*mpirun(either_mpi.python, 3), either_mpi.python, *pytest_words, *words],
        env={**without_launcher_variables(os.environ), "PYTHONPATH": str(ROOT)}, cwd=ROOT,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("8 passed") == 3, done.stdout


STOPPED_IN_A_MESSAGE = """
import os, signal, time
from mpi4py import MPI
from mpibatch.mpi.transport import MpiTransport
transport = MpiTransport(MPI.COMM_WORLD)
if transport.rank:
    transport.send(0, b"connects")
    time.sleep(0.5)
    transport.send(0, bytes(200 << 20))
    for _ in range(50):
        transport.receive()  # it is announced, and no more
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGSTOP)
while not transport.receive():
    pass
until = time.monotonic() + 2
while time.monotonic() < until:
    transport.receive()
    time.sleep(0.01)
print("FREE", flush=True)
os._exit(0)
"""


def test_a_rank_that_is_stopped_in_a_message_blocks_nobody(job: Job) -> None:
    """Rank 0 waited for the rest of it for good, and was killed with the run. Over TCP, as between nodes."""
    words = mpirun(job.python, 2)
    words[1:1] = ["--mca", "pml", "ob1", "--mca", "btl", "self,tcp"]
    command = [*words, str(job.python), "-c", STOPPED_IN_A_MESSAGE]
    process = job.start(command)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "FREE\n"
    finally:
        for pid in job.processes():
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=30)
