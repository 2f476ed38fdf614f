"""A resume knows whether what its rows are made with is still what it was: the script, side inputs, models."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mpibatch.config.schema import Job, RunConfig, SideInput
from mpibatch.errors import UsageError
from mpibatch.planning.plan import Plan
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.program_changes import changes_meanwhile, compare_program
from mpibatch.runs.recovery import RecoveredRun
from mpibatch.runs.resume import create_run, merge_settings
from mpibatch.runs.run_record import RunRecord
from mpibatch.types import Split
from tests.planning.test_plan import Listed


class Stopped:
    """A run of 10 mini-batches with 3 items each, of which those before number 4 and number 6 are done."""

    def __init__(self, folder: Path) -> None:
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "weights").write_text("weights")
        (folder / "score.py").write_text("import tools\ndef run(mini_batch): return mini_batch\n")
        self.tools = folder / "tools.py"
        self.tools.write_text("FACTOR = 1\n")
        self.job = Job(
            name="made",
            config=RunConfig(entry_script="score.py", source_directory=str(folder)),
            side_inputs=(SideInput("weights", str(self.model)),),
            arguments=("--weights", str(self.model)),
        )
        self.directory: RunDirectory = create_run(self.job, folder / "run", ["mpibatch", "run"])
        self.recovered = RecoveredRun.fresh(Plan.build([Listed([Split(b"", 3)] * 10)], map))
        compare_program(self.directory, self.job, self.recovered, accept=False).record(self.directory)
        table = self.recovered.outcomes.table
        table["final"][[0, 1, 2, 3, 6]] = True
        table["succeeded"][[0, 1, 2, 3, 6]] = 3

    def told(self, accept: bool = False) -> tuple[str, ...]:
        changes = compare_program(self.directory, self.job, self.recovered, accept)
        changes.record(self.directory)
        return changes.told


@pytest.fixture
def stopped(tmp_path: Path) -> Stopped:
    return Stopped(tmp_path)


def test_nothing_has_changed(stopped: Stopped) -> None:
    assert stopped.told() == ()
    assert RunRecord.read(stopped.directory).changes == ()


def test_a_changed_module_of_the_script_is_told_once_and_kept(stopped: Stopped) -> None:
    stopped.tools.write_text("FACTOR = 2\n")
    (told,) = stopped.told()
    assert told == "the script has changed since row 12 (tools.py)"
    assert stopped.told() == (), "the next resume goes on with the same"
    assert RunRecord.read(stopped.directory).changes == (told,)


def test_a_touched_script_has_not_changed(stopped: Stopped) -> None:
    os.utime(stopped.tools, (1, 1))
    assert stopped.told() == ()


def _rewrite(model: Path) -> None:
    time.sleep(0.02)  # file systems keep time in ticks
    (model / "weights").write_text("WEIGHTS")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_rewrite, "it was written to at 2"),
        (lambda model: (model / "weights").write_text("longer weights"), "it had 7 bytes, and has 14"),
        (lambda model: (model / "more").touch(), "it had 1 files, and has 2"),
        (lambda model: (model / "weights").unlink(), "it is gone"),
    ],
)
def test_a_changed_side_input_is_refused_until_it_is_accepted(
    stopped: Stopped, change: Callable[[Path], object], said: str
) -> None:
    """Two models in one output, exit 0: it went on without a word."""
    change(stopped.model)
    with pytest.raises(UsageError, match="--accept-changed-inputs") as caught:
        stopped.told()
    assert said in str(caught.value)
    assert str(stopped.model) in str(caught.value)
    (told,) = stopped.told(accept=True)
    assert told.startswith("accepted: side input weights")
    assert stopped.told() == (), "what was accepted is what the next resume compares with"


def test_a_side_input_that_changed_before_the_first_row_is_no_matter(stopped: Stopped) -> None:
    stopped.recovered.outcomes.table["final"] = False
    (stopped.model / "more").touch()
    assert stopped.told() == ()


def test_a_change_while_the_run_was_at_work_is_noticed(stopped: Stopped) -> None:
    """Executors that were started later have imported the new script."""
    now = compare_program(stopped.directory, stopped.job, stopped.recovered, accept=False).now
    assert list(changes_meanwhile(now, stopped.job)) == []
    stopped.tools.write_text("FACTOR = 2\n")
    (stopped.model / "more").touch()
    script, side = changes_meanwhile(now, stopped.job)
    assert "tools.py" in script
    assert "side input weights" in side


def test_another_version_of_a_model_is_refused_until_it_is_accepted(stopped: Stopped, tmp_path: Path) -> None:
    """`model: digits` in the job file means another version once a new one is registered."""
    side = SideInput("weights", str(tmp_path / "2"), model="digits:2")
    job = replace(stopped.job, side_inputs=(side,), arguments=("--weights", str(tmp_path / "2")))
    with pytest.raises(UsageError, match="now digits:2"):
        merge_settings(stopped.directory, job)
    assert merge_settings(stopped.directory, job, accept_changed=True) == job
    with pytest.raises(UsageError, match="arguments"):
        merge_settings(stopped.directory, replace(job, arguments=("--other",)), accept_changed=True)
