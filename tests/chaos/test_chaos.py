"""A short form of the chaos program; `python -m tests.chaos.chaos` is the long one."""

import random
from pathlib import Path

import pytest

from tests.chaos.chaos import chaos
from tests.chaos.disturb import KINDS, any_disturbance

RUNS = 10


@pytest.mark.timeout(300)
def test_disturbed_runs_leave_what_undisturbed_ones_leave(tmp_path: Path) -> None:
    """Other disturbances each time, on purpose; what goes wrong is said with the number of the run."""
    seed = random.randrange(1 << 30)
    said: list[str] = []
    figures = chaos(tmp_path / "chaos", RUNS, seed, parallel=3, say=said.append)
    assert figures.wrong == [], f"seed {seed}: {said}"
    assert figures.runs == RUNS
    print(f"seed {seed}: {figures}")


def test_disturbances_are_of_every_kind() -> None:
    """Else the program would guard less than it says."""
    choice = random.Random(0)
    names = {any_disturbance(choice, frozenset()).name for _ in range(1000)}
    assert {f"SIGKILL {kind}" for kind in KINDS} <= names
    assert {"SIGSTOP executor", "SIGSTOP rank", "SIGINT launcher", "SIGTERM launcher", "SIGUSR1 launcher"} <= names
