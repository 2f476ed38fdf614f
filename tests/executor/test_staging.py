"""Copies of side inputs on a node: one per node, whole or not there, gone with their last user."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mpibatch.config.choices import Stage
from mpibatch.config.schema import Job, RunConfig, SideInput
from mpibatch.errors import MpibatchError
from mpibatch.executor import staging


def job(*sides: SideInput) -> Job:
    return Job(name="name", side_inputs=sides, config=RunConfig("x.py"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return staging.staging_dir(Path("/runs/one"), {"TMPDIR": str(tmp_path)})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_text("weights")
    return path


def wanted(folder: Path, source: Path) -> tuple[staging.StagedInput, ...]:
    return staging.staged(job(SideInput("model", str(source), Stage.NODE), SideInput("other", "/x")), folder)


def test_only_side_inputs_staged_to_nodes_are_copied_and_keep_their_file_name(folder: Path, source: Path) -> None:
    (side,) = wanted(folder, source)
    assert Path(side.copy).parents[1] == folder
    assert Path(side.copy).name == "model.bin"


def test_the_folder_stays_until_its_last_user_is_gone(folder: Path, source: Path) -> None:
    sides = wanted(folder, source)
    first, second = staging.ensure_staged(sides), staging.ensure_staged(sides)
    assert first is not None
    assert second is not None
    os.close(first)
    staging.remove(folder)
    assert Path(sides[0].copy).read_text() == "weights"
    os.close(second)
    staging.remove(folder)
    assert not folder.exists()
    staging.remove(folder)  # again is harmless


def test_a_changed_source_is_never_taken_for_the_copy_of_before(folder: Path, source: Path) -> None:
    """A resumed run finds what a killed one left, and takes it only if it is the same."""
    staging.ensure_staged(wanted(folder, source))
    before = wanted(folder, source)[0].copy
    os.utime(source, ns=(1, 1))
    assert wanted(folder, source)[0].copy != before


def test_what_a_killed_copier_left_is_not_taken_for_whole(folder: Path, source: Path) -> None:
    (side,) = wanted(folder, source)
    folder.mkdir(mode=0o700)
    half = folder / f".{Path(side.copy).parent.name}.partial"
    half.mkdir()
    (half / "model.bin").write_text("wei")
    staging.ensure_staged((side,))
    assert Path(side.copy).read_text() == "weights"
    assert not half.exists()


def test_the_lock_of_a_killed_copier_is_free(folder: Path, source: Path) -> None:
    """Whoever dies while copying must not make the others wait for ever."""
    sides = wanted(folder, source)
    staging.ensure_staged(sides)
    code = f"import fcntl, time; f = open({str(folder / 'copying')!r}, 'w'); fcntl.flock(f, 2); print(); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-uc", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.send_signal(signal.SIGKILL)
    staging.ensure_staged(sides)
    holder.communicate()


def test_a_folder_that_others_can_write_to_is_refused(folder: Path, source: Path) -> None:
    """The name can be guessed and /tmp is everybody's: a model planted there would be loaded."""
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(MpibatchError, match="not this user's own"):
        staging.ensure_staged(wanted(folder, source))


def test_arguments_have_nothing_left_to_substitute() -> None:
    """Also within text, and spaces inside the braces do not matter; what is not staged was replaced before."""
    arguments = ("--model=${{ side_inputs.model }}", "${{side_inputs.model}}", "plain")
    assert staging.substitute(arguments, {"model": r"/tmp/a\1"}) == (r"--model=/tmp/a\1", r"/tmp/a\1", "plain")
