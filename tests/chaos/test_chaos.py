"""A short form of the chaos program; `python -m tests.chaos.chaos` is the long one."""

import random
from pathlib import Path

import pytest

from tests.chaos.chaos import chaos
from tests.chaos.disturb import KINDS, any_disturbance

pytestmark = pytest.mark.processes


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_disturbed_runs_leave_what_undisturbed_ones_leave(tmp_path: Path) -> None:
    """Other disturbances each time, on purpose; what goes wrong is said with the number of the run."""
    runs, seed = 4, random.randrange(1 << 30)
    said: list[str] = []
    figures = chaos(tmp_path / "chaos", runs, seed, parallel=2, say=said.append)
    assert figures.wrong == [], f"seed {seed}: {said}"
    assert figures.runs == runs
    print(f"seed {seed}: {figures}")


def test_disturbances_are_of_every_kind() -> None:
    """Else the program would guard less than it says."""
    choice = random.Random(0)
    names = {any_disturbance(choice, frozenset()).name for _ in range(1000)}
    assert {f"SIGKILL {kind}" for kind in KINDS} <= names
    assert {"SIGSTOP executor", "SIGSTOP rank", "SIGINT launcher", "SIGTERM launcher", "SIGUSR1 launcher"} <= names
