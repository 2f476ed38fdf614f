"""Where runs stand, from their files only."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from mpibatch.errors import UsageError
from mpibatch.liveness.lease import Owner, acquire
from mpibatch.reporting.status import LiveState, find_runs, read_status, runs_text, status_text
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.summary import BackupAttempts
from tests.reporting.run_directories import make_run


def test_a_run_at_work_is_running(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run", "running")
    lease = acquire(directory.path)
    try:
        status = read_status(directory.path)
    finally:
        lease.release()
    assert status.state is LiveState.RUNNING
    assert "running: made" in status_text(status)


def test_a_run_whose_owner_is_dead_says_so_and_how_to_go_on(tmp_path: Path) -> None:
    """It has not said how it ended, and never will: the command that resumes it is what one needs."""
    directory = make_run(tmp_path / "run", "running")
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    owner = {**asdict(Owner.current()), "pid": process.pid}
    (directory.path / "owner.json").write_text(json.dumps(owner))
    status = read_status(directory.path)
    assert status.state is LiveState.DEAD
    assert f"mpibatch resume {directory.path}" in status_text(status)


@pytest.mark.parametrize("state", ["completed", "aborted", "stopped"])
def test_a_run_that_ended_says_how(tmp_path: Path, state: str) -> None:
    status = read_status(make_run(tmp_path / "run", state).path)
    assert status.state.value == state
    assert status.to_json()["summary"]["mini_batches"] == {"total": 200, "succeeded": 197, "failed": 3, "remaining": 0}


def test_backup_attempts_are_told_of_where_there_were_any(tmp_path: Path) -> None:
    some = make_run(tmp_path / "some", backups=BackupAttempts(3, 2))
    assert "3 begun beside slow attempts, 2 of them ended first" in status_text(read_status(some.path))
    assert read_status(some.path).to_json()["summary"]["backups"] == {"begun": 3, "won": 2}
    assert "backups" not in status_text(read_status(make_run(tmp_path / "none").path))


def test_texts_of_users_move_no_cursor(tmp_path: Path) -> None:
    text = status_text(read_status(make_run(tmp_path / "run").path))
    assert "\x1b" not in text
    assert "\\x1b[31m" in text


def test_a_folder_that_is_no_run_is_told_from_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no run\.json"):
        read_status(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        read_status(tmp_path / "away")


def test_a_line_for_each_run(tmp_path: Path) -> None:
    """`latest` is no run of its own, and what is no run, or damaged, does not hide the others."""
    for name in ("one", "two"):
        make_run(tmp_path / name)
    (tmp_path / "latest").symlink_to("two")
    (tmp_path / "other").mkdir()
    make_run(tmp_path / "damaged").summary.write_text("{")
    found = find_runs(tmp_path)
    assert {"one", "two"} <= {status.directory.path.name for status in found} <= {"one", "two", "damaged"}
    assert len(runs_text(found).splitlines()) == len(found) + 1


@pytest.mark.parametrize("width", [40, 80, 200])
def test_views_fit_their_terminal(tmp_path: Path, width: int) -> None:
    """But for paths, names and errors, which are not cut."""
    make_run(tmp_path / "20261125T032822Z-07689d", failed=0)
    found = find_runs(tmp_path)
    texts = runs_text(found, width), status_text(found[0], width)
    lines = [line for text in texts for line in text.splitlines() if str(tmp_path) not in line]
    assert len(lines) > 8
    assert max(map(len, lines)) <= width


def test_a_viewer_who_may_not_write_sees_the_same(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in directory.path.rglob("*")}
    os.chmod(directory.path, 0o555)
    try:
        status_text(read_status(RunDirectory(directory.path).path))
    finally:
        os.chmod(directory.path, 0o755)
    assert {path: path.stat().st_mtime_ns for path in directory.path.rglob("*")} == before
