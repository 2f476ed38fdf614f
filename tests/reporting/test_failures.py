"""Failures grouped by kind: while a run counts them, and from what it has left."""

from pathlib import Path

import pytest

from mpibatch.attempts import Failure
from mpibatch.errors import UsageError
from mpibatch.reporting.failures import failed_item_names, failures_json, failures_text
from mpibatch.reporting.status import read_status, status_text
from mpibatch.runs.failure_kinds import MOST_KINDS, FailureKinds, last_frame
from tests.reporting.run_directories import make_run

TRACEBACK = 'Traceback (most recent call last):\n  File "/a/b/score.py", line {}, in run\n    x\n'


def test_the_place_is_the_last_frame() -> None:
    assert last_frame(TRACEBACK.format(3) + '  File "/a/help.py", line 7, in load\n') == "help.py:7 in load"
    assert last_frame("") == ""


def test_failures_alike_are_one_kind() -> None:
    """By cause, type of the error and place; numbers in texts without a traceback do not matter."""
    kinds = FailureKinds()
    for number in range(5):
        kinds.add(Failure("user_error", f"ValueError: {number}", TRACEBACK.format(3)), number)
        kinds.add(Failure("timeout", f"mini-batch {number} took 60 s on rank {number}"), number)
    kinds.add(Failure("user_error", "ValueError: 1", TRACEBACK.format(4)), 9)
    kinds.add(Failure("user_error", "KeyError: 1", TRACEBACK.format(3)), 9)
    assert [(kind.cause, kind.count, kind.mini_batch) for kind in kinds.most_frequent()] == [
        ("user_error", 5, 0),
        ("timeout", 5, 0),
        ("user_error", 1, 9),
        ("user_error", 1, 9),
    ]


def test_no_number_of_kinds_fills_the_memory() -> None:
    kinds = FailureKinds()
    for number in range(3 * MOST_KINDS):
        kinds.add(Failure("user_error", f"ValueError{'x' * number}: a", TRACEBACK.format(3)))
    found = kinds.most_frequent()
    assert len(found) == MOST_KINDS + 1
    assert sum(kind.count for kind in found) == 3 * MOST_KINDS


def test_what_failed_is_shown_once_for_each_kind(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run", failed=30)
    text = failures_text(directory)
    assert text.startswith("30 failed items of 1 kind\n\n30 items: user_error\n")
    assert text.count("Traceback") == 1
    assert "rank 1 on node0" in text
    assert "\x1b" not in text
    assert failures_json(directory)["items"][0]["count"] == 30


def test_one_is_not_counted_as_several(tmp_path: Path) -> None:
    """A user reads "30 x mini-batch 5" as thirty items of mini-batch 5."""
    text = failures_text(make_run(tmp_path / "run", failed=1))
    assert text.startswith("1 failed item of 1 kind\n\n1 item: user_error\n")
    status = status_text(read_status(make_run(tmp_path / "more", failed=30).path))
    assert "30 tries, the first: mini-batch 0" in " ".join(status.split())


def test_failed_items_are_a_manifest(tmp_path: Path) -> None:
    assert len(failed_item_names(make_run(tmp_path / "run", failed=7))) == 7
    with pytest.raises(UsageError):
        failed_item_names(make_run(tmp_path / "none").__class__(tmp_path / "away"))
