"""A worker that rank 0 had held to be lost: it begins anew."""

from pathlib import Path

import pytest

from mpibatch.worker.messages import Rejoin, Rejoined, StartFailed, TasksReturned
from tests.worker.sandboxed_executor import SandboxedExecutor
from tests.worker.test_worker import ECHO, GATED

pytestmark = pytest.mark.processes


def test_a_worker_that_begins_anew_forgets_its_tasks(tmp_path: Path) -> None:
    """Rank 0 has given them to others; what was finished before is reported before, and counts for nobody."""
    with SandboxedExecutor(tmp_path, GATED) as sandbox:
        sandbox.run(["0"], ["1"], ["2"])
        sandbox.until_running(0)
        sandbox.worker.handle(Rejoin(7))
        sandbox.run(["0"], ["3"], first=0)
        (tmp_path / "open").touch()
        assert [attempt.rows for attempt in sandbox.ended(2)] == ["0\n", "3\n"]
        assert sandbox.of(Rejoined) == [Rejoined(7, has_begun=True)]
        assert not sandbox.of(StartFailed)
        assert not sandbox.of(TasksReturned)


def test_a_worker_that_begins_anew_while_nothing_runs_keeps_its_executor(tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, ECHO) as sandbox:
        sandbox.run(["0"])
        sandbox.ended(1)
        (executor,) = [sandbox.worker._executor]
        sandbox.worker.handle(Rejoin(1))
        sandbox.run(["1"], first=1)
        assert [attempt.rows for attempt in sandbox.ended(2)] == ["0\n", "1\n"]
        assert sandbox.worker._executor is executor
