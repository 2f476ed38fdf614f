"""Advice follows from figures, and is silent where they give no reason."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.config.schema import RunConfig
from mpibatch.reporting.advice import advise
from mpibatch.reporting.analysis import Analysis, analyse
from mpibatch.runs.measurements import ExecutorStart, Floats, Measurements
from tests.reporting.run_directories import make_run
from tests.runs.records import ended_run

RANKS = 4


def measured(
    count: int, run: float, *, load: float = 0.0, apart: float | None = None, init: float = 0.1
) -> Measurements:
    """So many mini-batches one after the other on RANKS ranks, `apart` seconds from start to start."""
    attempts = np.zeros(count, dtype=ATTEMPT_DTYPE)
    index = np.arange(count)
    attempts["index"], attempts["items"], attempts["succeeded"], attempts["rank"] = index, 1, 1, index % RANKS
    attempts["load"], attempts["run"] = load, run
    attempts["started"] = 100.0 + index // RANKS * (load + run if apart is None else apart)
    starts = tuple(ExecutorStart(rank, "node", 100.0, init) for rank in range(RANKS))
    return Measurements(attempts, starts, {})


def settings(measurements: Measurements, resources: dict[str, Floats] | None = None, **config: Any) -> list[str]:
    if resources is not None:
        measurements = Measurements(measurements.attempts, measurements.starts, {"node": resources})
    summary = ended_run("completed")
    analysis = analyse(measurements, summary)
    return [one.setting for one in advise(summary, RunConfig(entry_script="score.py", **config), analysis)]


def test_a_run_that_is_fine_gets_none() -> None:
    assert settings(measured(400, 0.5)) == []
    assert advise(ended_run("completed"), RunConfig(entry_script="score.py"), None) == []


def test_each_reason_has_its_setting() -> None:
    assert settings(measured(400, 0.2, load=0.3)) == ["mini_batch_size, side_inputs or storage"]
    assert settings(measured(4000, 0.001, apart=0.02)) == ["mini_batch_size"]
    assert settings(measured(40, 0.6, init=50.0)) == ["init() and process_count_per_node"]
    assert settings(measured(400, 0.5), run_invocation_timeout=0.6) == ["run_invocation_timeout"]
    full = {"time": np.array([101.0]), "memory_bytes": np.array([96.0]), "memory_total_bytes": np.array([100.0])}
    assert settings(measured(400, 0.5), full) == ["process_count_per_node"]
    idle = {"time": np.array([101.0]), "gpu_percent": np.array([5.0])}
    assert settings(measured(400, 0.5), idle) == ["processes_per_gpu"]


def test_a_handful_of_mini_batches_gets_no_advice_about_their_size() -> None:
    """Four that did nothing in six seconds were to be 1181 times as large, since reading could not keep up."""
    assert settings(measured(8, 0.00001, load=0.0001, apart=6.0)) == []


def test_executors_that_are_replaced_are_the_reason_for_long_starts() -> None:
    """Fewer executors, or more data, would not help where each failure starts one."""
    before = measured(40, 0.001, apart=3.0, init=2.0)
    starts = tuple(ExecutorStart(rank, "node", 100.0 + 3 * turn, 2.0) for rank in range(RANKS) for turn in range(9))
    summary, config = ended_run("completed"), RunConfig(entry_script="score.py")
    found = advise(summary, config, analyse(Measurements(before.attempts, starts, {}), summary))
    assert "36 executors were started for 4 ranks" in found[0].text


def test_one_straggler_is_a_tail() -> None:
    measurements = measured(400, 0.1)
    measurements.attempts["run"][-1] = 30.0
    assert settings(measurements) == ["mini_batch_size"]


@pytest.mark.parametrize(
    ("limit", "words"),
    [(None, "by the kernel: the node, or the job's share of it"), ("1.5GB", "more than 1.5GB or than there was")],
)
def test_memory_that_ran_out_is_told_with_its_limit(limit: str | None, words: str) -> None:
    """Without a limit it was the kernel that ended them; it said that they used more than None."""
    summary = replace(ended_run("completed"), attempts={"out_of_memory": 3})
    config = RunConfig(entry_script="score.py", memory_per_process=limit)
    (advice,) = advise(summary, config, analyse(measured(400, 0.5), summary))
    assert advice.setting == "memory_per_process"
    assert "3 times an executor was ended" in advice.text
    assert words in advice.text


def test_executors_that_started_before_the_run_was_said_to_are_busy_after_their_init() -> None:
    """They start while rank 0 plans; that they had more init() than there was time was no work at all."""
    summary = replace(ended_run("completed"), started=100.0)
    early = measured(400, 0.5, init=90.0)
    analysis = analyse(replace(early, starts=tuple(replace(start, ready=100.0) for start in early.starts)), summary)
    assert analysis is not None
    assert analysis.first == 10.0
    assert analysis.busy_share > 0.95


def test_what_was_read_ahead_is_no_waiting(tmp_path: Path) -> None:
    """Loads as long as run() that overlap it leave no gap: the executors were busy."""
    measurements = measured(400, 0.5, load=0.5, apart=0.5)
    analysis = analyse(measurements, ended_run("completed"))
    assert isinstance(analysis, Analysis)
    assert analysis.totals["load"] == pytest.approx(0.0, abs=1e-3)
    assert analysis.busy_share == pytest.approx(1.0, abs=0.01)


def test_measurements_are_read_back(tmp_path: Path) -> None:
    """From events.bin, and from the table that is made of it at the end."""
    directory = make_run(tmp_path / "run")
    before = Measurements.read(directory)
    assert len(before.attempts) == 200
    assert len(before.starts) == 4
    assert list(before.resources) == ["node0"]
    with directory.events.open("ab") as file:
        file.write(b"torn")
    assert len(Measurements.read(directory).attempts) == 200
