"""Inputs that changed while a run was stopped: of unfinished mini-batches they are refused, of finished ones not."""

import os
import time
from pathlib import Path

import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.errors import UsageError
from mpibatch.planning.plan import Plan
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.input_changes import SHOWN, ensure_inputs_unchanged
from mpibatch.runs.recovery import RecoveredRun

FILES = 30


class Stopped:
    """A run of FILES files, two a mini-batch, of which the first 5 mini-batches are done."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        for number in range(FILES):
            self.file(number).write_text("as planned")
        input = Input("files", InputType.FILES, (str(self.data / "*.txt"),))
        self.datasets = [open_dataset(input, Size(2, Unit.ITEMS), ())]
        plan = Plan.build(self.datasets, map)
        self.directory: RunDirectory = create_at(folder / "run")
        plan.write(self.directory.plan)
        time.sleep(0.02)  # file systems keep time in ticks
        self.recovered = RecoveredRun.fresh(plan)
        self.recovered.outcomes.table["final"][:5] = True

    def file(self, number: int) -> Path:
        return self.data / f"{number:02}.txt"

    def check(self) -> None:
        ensure_inputs_unchanged(self.directory, self.recovered, self.datasets)


@pytest.fixture
def stopped(tmp_path: Path) -> Stopped:
    return Stopped(tmp_path)


def test_nothing_has_changed(stopped: Stopped) -> None:
    stopped.check()


def test_finished_ones_are_not_looked_at(stopped: Stopped) -> None:
    for number in range(10):
        stopped.file(number).write_text("new")
    stopped.check()


def test_touched_unfinished_ones_are_listed(stopped: Stopped) -> None:
    stopped.file(9).write_text("of the last that is finished")
    stopped.file(10).write_text("of the first that is not")
    stopped.file(29).write_text("the last")
    with pytest.raises(UsageError, match="2 unfinished input files") as caught:
        stopped.check()
    assert all(str(stopped.file(number)) in str(caught.value) for number in (10, 29))
    assert str(stopped.file(9)) not in str(caught.value)
    assert "--accept-changed-inputs" in str(caught.value)


def test_a_long_list_is_cut(stopped: Stopped) -> None:
    for number in range(10, FILES):
        stopped.file(number).write_text("new")
    with pytest.raises(UsageError, match=f"and {FILES - 10 - SHOWN} more"):
        stopped.check()


def test_one_replaced_by_an_older_file_has_changed(stopped: Stopped, tmp_path: Path) -> None:
    """`mv` keeps the time of the content; the inode tells."""
    older = tmp_path / "older"
    older.write_text("from a backup")
    os.utime(older, (1, 1))
    older.rename(stopped.file(20))
    with pytest.raises(UsageError, match="1 unfinished input file"):
        stopped.check()


def test_a_missing_one_is_no_matter_of_this(stopped: Stopped) -> None:
    """Its mini-batch fails, with that reason."""
    stopped.file(20).unlink()
    stopped.check()


def test_a_new_mode_is_no_change(stopped: Stopped) -> None:
    """It touches no data, though the inode has a new time."""
    stopped.file(20).chmod(0o600)
    stopped.check()


def test_a_change_while_planning_is_noticed(stopped: Stopped) -> None:
    """The plan is written after the last input was looked at: the time of its file tells nothing."""
    stopped.file(20).write_text("written by others")
    os.utime(stopped.directory.plan)
    with pytest.raises(UsageError, match="1 unfinished input file"):
        stopped.check()
