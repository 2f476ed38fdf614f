"""What the benchmarks say is what was measured, and one that fails is told of and stops no other."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.figures import Chart, Figure, Measured, bar_chart, ratios
from benchmarks.metg import metg
from benchmarks.peers import PeerFailed
from benchmarks.results import Section
from benchmarks.rounds import SELDOM, in_turn

ROOT = Path(__file__).parents[2]


def counting(values: list[str], who: str) -> Callable[[], float]:
    def measure() -> float:
        values.append(who)
        return float(len(values))

    return measure


def test_rounds_go_there_and_back() -> None:
    order: list[str] = []
    found = in_turn({who: counting(order, who) for who in "abc"}, 2, [])
    assert "".join(order) == "abccba"
    assert found == {"a": [1.0, 6.0], "b": [2.0, 5.0], "c": [3.0, 4.0]}


def test_a_peer_that_fails_is_left_out_and_noted() -> None:
    def fails() -> float:
        raise PeerFailed("it has no socket")

    order: list[str] = []
    notes: list[str] = []
    found = in_turn({"ours": counting(order, "ours"), "theirs": fails}, 2, notes)
    assert found == {"ours": [1.0, 2.0]}
    assert notes == ["theirs is left out: it has no socket"]


def test_who_is_far_behind_runs_seldom() -> None:
    order: list[str] = []
    found = in_turn({who: counting(order, who) for who in ("ours", "slow")}, SELDOM + 2, [], ["slow"])
    assert len(found["ours"]) == SELDOM + 2
    assert len(found["slow"]) == SELDOM
    assert len(ratios(found, "ours", "slow")) == SELDOM


def test_an_aim_that_is_missed_is_said() -> None:
    assert Figure("rate", [1.0, 3.0, 2.0], "{:.0f}/s", at_least=2).aim == "at least 2/s"
    assert Figure("rate", [1.0, 3.0, 2.0], "{:.0f}/s", at_least=3).aim == "at least 3/s: not reached"
    assert Figure("cost", [1.0, 3.0, 2.0], "{:.0f} s", at_most=1).aim == "at most 1 s: not reached"


def test_metg_lies_between_the_points_around_a_half() -> None:
    assert metg([(8e-3, 0.9), (4e-3, 0.75), (1e-3, 0.25)]) == pytest.approx(2e-3)
    assert metg([(8e-3, 0.9), (4e-3, 0.8)]) == 4e-3  # at most: nothing finer was measured
    assert metg([(8e-3, 0.3)]) == 8e-3  # at least


def test_results_have_every_figure_and_every_failure(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    charts = [
        bar_chart("Bars", "a second", {"mpibatch": 2.0, "others": 1.0}),
        Chart("Lines", "x", "y", {"mpibatch": [(1.0, 0.5)]}),
    ]
    Measured([Figure("rate", [1.0, 2.0, 4.0], "{:.1f}/s", at_least=3)], charts, ["nobody else"]).write(path)
    sections = [Section("dispatch", Measured.read(path), 12.0), Section("work", None, 1.0, "status 1")]
    text = results.write(tmp_path / "new", ["a machine"], sections).read_text()
    assert "| rate | 2.0/s | 1.0/s to 4.0/s | at least 3.0/s: not reached |" in text
    assert "**Not measured, since they failed: work.**" in text
    assert "**Failed**: status 1" in text
    for said in ("- a machine", "Note: nobody else.", "Bars", "Lines"):
        assert said in text


def run_command(output: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and RESULTS.md of claims in their quick form."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output), *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode, (output / "RESULTS.md").read_text()


@pytest.mark.processes
def test_the_command_goes_on_after_a_failure(tmp_path: Path) -> None:
    """Two claims that are given no time: each is told of."""
    status, text = run_command(tmp_path, "--limit", "0.1", "capacity", "startup")
    assert status == 1
    assert "**Not measured, since they failed: capacity, startup.**" in text


@pytest.mark.ci
@pytest.mark.processes
def test_claims_are_measured(tmp_path: Path) -> None:
    """One of whole jobs, and one beside a peer and plain loops."""
    status, text = run_command(tmp_path, "startup", "work")
    assert status == 0
    for figure in ("| mpibatch --help |", "| 10 ms each, mpibatch |"):
        assert figure in text
