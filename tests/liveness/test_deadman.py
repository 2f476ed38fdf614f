"""Guards that a rank ends when it should though it cannot see to that itself, never otherwise, and that nothing of the
deadman process is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpibatch.liveness.clock import SUSPENSION_SECONDS
from mpibatch.liveness.deadman import RESEND_SECONDS, DeadmanSwitch
from tests.conftest import wait_for
from tests.liveness.test_failure_detector import Clock
from tests.processes import is_there

pytestmark = pytest.mark.processes

RANK = """
import os, sys, time
from mpibatch.liveness.deadman import DeadmanSwitch
deadman = DeadmanSwitch.start(int(sys.argv[2]))
deadman.arm(float(sys.argv[1]), "deadman")
print(deadman._process.pid, flush=True)
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

    def __init__(self, limit: str, max_stopped_seconds: str = "60") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RANK, limit, max_stopped_seconds], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.deadman = int(self.process.stdout.readline())

    def last_words(self) -> str:
        """What its stderr has, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


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


def test_a_rank_that_does_not_arm_it_again_in_time_is_killed(ranks: list[Rank]) -> None:
    ranks.append(Rank("0.5"))
    assert ranks[0].process.wait(20) == -signal.SIGKILL
    assert "it has not gone on for 0.5 s (deadman)" in ranks[0].last_words()
    wait_for(lambda: not is_there(ranks[0].deadman))


def test_a_rank_that_is_stopped_is_killed(ranks: list[Rank]) -> None:
    ranks.append(Rank("1"))
    ranks[0].process.send_signal(signal.SIGSTOP)
    assert ranks[0].process.wait(20) == -signal.SIGKILL


def test_a_rank_without_a_limit_that_is_stopped_is_killed(ranks: list[Rank]) -> None:
    """While it is importing, or planning."""
    ranks.append(Rank("inf", "1"))
    ranks[0].process.send_signal(signal.SIGSTOP)
    assert ranks[0].process.wait(20) == -signal.SIGKILL
    assert "it was stopped for 1 s (startup_timeout)" in ranks[0].last_words()


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


def test_the_deadman_process_ends_with_its_rank(ranks: list[Rank]) -> None:
    ranks.append(Rank("inf"))
    assert is_there(ranks[0].deadman)
    ranks[0].process.kill()
    wait_for(lambda: not is_there(ranks[0].deadman))


def test_signals_to_the_whole_job_leave_the_deadman_process(ranks: list[Rank]) -> None:
    ranks.append(Rank("inf"))
    wait_for(lambda: ignores(ranks[0].deadman, signal.SIGUSR2))  # it has begun
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(ranks[0].deadman, number)
    time.sleep(0.5)
    assert is_there(ranks[0].deadman)


def test_rank_and_deadman_process_that_were_suspended_together_go_on(ranks: list[Rank]) -> None:
    """A job that the batch system has suspended."""
    limit = SUSPENSION_SECONDS + 1
    ranks.append(Rank(str(limit)))
    both = (ranks[0].process.pid, ranks[0].deadman)
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
    rank, deadman = map(int, starter.stdout.readline().split())
    os.kill(rank, signal.SIGSTOP)
    starter.kill()
    starter.communicate()
    wait_for(lambda: not is_there(rank) and not is_there(deadman), seconds=5)


def test_a_deadman_process_that_was_killed_harms_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    DeadmanSwitch(writing).arm(1.0, "deadman")
    os.close(writing)


def test_a_new_limit_is_sent_at_once_and_the_same_one_now_and_then(tmp_path: Path) -> None:
    clock = Clock()
    with (tmp_path / "sent").open("w+b", buffering=0) as sent:
        deadman = DeadmanSwitch(sent.fileno(), clock)
        for _ in range(60):
            deadman.arm(60.0, "deadman")
            clock.now += 0.1
        with deadman.armed(5.0, "startup_timeout"):
            pass
        sent.seek(0)
        resent = [b"60.0 deadman"] * int(6.0 / RESEND_SECONDS)
        assert sent.read().splitlines() == [*resent, b"5.0 startup_timeout", b"inf none"]
