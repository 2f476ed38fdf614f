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
    assert done.stdout.count("14 passed") == 3, done.stdout


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


LOST_IN_A_MESSAGE = """
import os, signal, sys, time
from mpi4py import MPI
from mpibatch.mpi.transport import MpiTransport
from mpibatch.worker.messages import Results
transport = MpiTransport(MPI.COMM_WORLD)
rows = memoryview(bytearray(200 << 20))
if transport.rank == 1:
    transport.send(0, Results(b"record", rows))
    for _ in range(50):
        transport.receive()
        time.sleep(0.01)
    os.kill(os.getpid(), int(sys.argv[1]))
if transport.rank == 2:
    time.sleep(1)
    for _ in range(2):
        transport.send(0, Results(b"record", rows))
    transport.send(0, "all")
    while True:
        transport.receive()
        time.sleep(0.001)
while not transport._begun:
    assert transport.receive() == []
time.sleep(1)  # rank 1 is gone, and of its message a part is here
if int(sys.argv[1]) == signal.SIGSTOP:
    transport.forget(1)
found = []
while not found or found[-1] != (2, "all"):
    found += transport.receive()
assert [(sender, len(message.data)) for sender, message in found[:-1]] == [(2, 200 << 20)] * 2
assert transport.take_failed() == ([1] if int(sys.argv[1]) == signal.SIGKILL else [])
assert not transport.is_busy
print("FREE", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_rank_that_is_lost_in_a_large_message_keeps_no_room_from_others(how: signal.Signals, job: Job) -> None:
    """What it has announced never arrives; rank 0 notices its death (ULFM), or forgets it."""
    words = mpirun(job.python, 3)
    words[1:1] = ["--with-ft", "ulfm", "--mca", "pml", "ob1", "--mca", "btl", "self,tcp"]
    process = job.start([*words, str(job.python), "-c", LOST_IN_A_MESSAGE, str(int(how))])
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "FREE\n", process.stderr.read()
    finally:
        for pid in job.processes():
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=30)
