"""Guards that a rank ends when it should though it cannot see to that itself, never otherwise, and that nothing of the
lookout is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpibatch.mpi.lifeline import TELL_SECONDS, Lifeline
from mpibatch.mpi.lookout import GAP_SECONDS
from tests.conftest import wait_for
from tests.mpi.test_hearing import Clock
from tests.processes import is_there

RANK = """
import os, sys, time
from mpibatch.mpi.lifeline import Lifeline
lifeline = Lifeline.to_parent(int(sys.argv[2]))
lifeline.hold(float(sys.argv[1]))
print(lifeline._lookout.pid, flush=True)
time.sleep(60)
"""
STARTER = """
import subprocess, sys
rank = subprocess.Popen([sys.executable, "-c", sys.argv[1], "inf", "60"], stdout=subprocess.PIPE)
print(rank.pid, rank.stdout.readline().decode(), end="", flush=True)
rank.wait()
"""


class Rank:
    """A process that is not heard of again after it has set its limit."""

    def __init__(self, limit: str, longest_stop: str = "60") -> None:
        self.process = subprocess.Popen([sys.executable, "-c", RANK, limit, longest_stop], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.lookout = int(self.process.stdout.readline())


@pytest.fixture
def ranks() -> Iterator[list[Rank]]:
    """Those to be ended after the test."""
    made: list[Rank] = []
    yield made
    for rank in made:
        rank.process.kill()
        rank.process.communicate()


def ignores(pid: int, number: signal.Signals) -> bool:
    """See SigIgn in proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.split("SigIgn:")[1].split()[0], 16) >> (number - 1) & 1)


def test_who_is_not_heard_of_again_is_killed(ranks: list[Rank]) -> None:
    ranks.append(Rank("0.5"))
    assert ranks[0].process.wait(20) == -signal.SIGKILL
    wait_for(lambda: not is_there(ranks[0].lookout))


def test_a_rank_that_is_stopped_is_killed(ranks: list[Rank]) -> None:
    ranks.append(Rank("1"))
    ranks[0].process.send_signal(signal.SIGSTOP)
    assert ranks[0].process.wait(20) == -signal.SIGKILL


def test_a_rank_without_a_limit_that_is_stopped_is_killed(ranks: list[Rank]) -> None:
    """While it is importing, or planning."""
    ranks.append(Rank("inf", "1"))
    ranks[0].process.send_signal(signal.SIGSTOP)
    assert ranks[0].process.wait(20) == -signal.SIGKILL


def test_a_rank_that_goes_on_in_time_lives(ranks: list[Rank]) -> None:
    ranks.append(Rank("inf", "2"))
    for _ in range(3):
        ranks[0].process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        ranks[0].process.send_signal(signal.SIGCONT)
        time.sleep(0.5)
    assert ranks[0].process.poll() is None


def test_without_a_limit_it_lives(ranks: list[Rank]) -> None:
    ranks.append(Rank("inf"))
    time.sleep(1.5)
    assert ranks[0].process.poll() is None


def test_the_lookout_ends_with_its_rank(ranks: list[Rank]) -> None:
    ranks.append(Rank("inf"))
    assert is_there(ranks[0].lookout)
    ranks[0].process.kill()
    wait_for(lambda: not is_there(ranks[0].lookout))


def test_signals_to_the_whole_job_leave_the_lookout(ranks: list[Rank]) -> None:
    ranks.append(Rank("inf"))
    wait_for(lambda: ignores(ranks[0].lookout, signal.SIGUSR2))  # it has begun
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(ranks[0].lookout, number)
    time.sleep(0.5)
    assert is_there(ranks[0].lookout)


def test_rank_and_lookout_that_were_stopped_together_go_on(ranks: list[Rank]) -> None:
    """A job that the batch system has suspended."""
    limit = GAP_SECONDS + 1
    ranks.append(Rank(str(limit)))
    both = (ranks[0].process.pid, ranks[0].lookout)
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(limit + 1)
    for pid in both:
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)
    assert ranks[0].process.poll() is None


def test_a_stopped_rank_ends_with_what_has_started_it() -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, RANK], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    rank, lookout = map(int, starter.stdout.readline().split())
    os.kill(rank, signal.SIGSTOP)
    starter.kill()
    starter.communicate()
    wait_for(lambda: not is_there(rank) and not is_there(lookout), seconds=5)


def test_a_lookout_that_is_gone_harms_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    Lifeline(writing).hold(1.0)
    os.close(writing)


def test_the_lookout_is_told_what_is_new_at_once_and_the_rest_now_and_then(tmp_path: Path) -> None:
    clock = Clock()
    with (tmp_path / "told").open("w+b", buffering=0) as told:
        lifeline = Lifeline(told.fileno(), clock)
        for _ in range(60):
            lifeline.hold(60.0)
            clock.now += 0.1
        with lifeline.within(5.0):
            pass
        told.seek(0)
        assert told.read().split() == [b"60.0"] * int(6.0 / TELL_SECONDS) + [b"5.0", b"inf"]
