"""Progress of real runs, on a terminal and without one; and what a run says when it ends."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from mpibatch.reporting.intervals import GrowingInterval
from mpibatch.reporting.notebook import run_html
from mpibatch.reporting.progress import RecentRate
from mpibatch.runs.summary import ItemCounts
from tests.conftest import Job
from tests.reporting.run_directories import make_run
from tests.runs.records import ended_run

pytestmark = pytest.mark.processes

FAILS = """
    import time
    def run(mini_batch):
        time.sleep(0.2)
        if names(mini_batch) == ["0003"]:
            raise ValueError("\\x1b[31mred")
        return names(mini_batch)
"""


def test_lines_come_more_and_more_seldom() -> None:
    now = 0.0
    interval = GrowingInterval(lambda: now)
    due = []
    for second in range(1, 300):
        now = float(second)
        if interval.is_over():
            due.append(second)
    assert due == [1, 3, 8, 18, 38, 68, 128, 248]


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = RecentRate()
    found = []
    for second in range(30):
        items = ItemCounts(1000, 100 * min(second, 10), 0)
        found.append(rate.update(ended_run("running", items=items, updated=1000.0 + second)))
    assert found[0] is None
    assert found[10] == 100
    assert found[-1] == 0


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, str]:
    """A job one item of which fails, and what its run has printed."""
    job = Job(tmp_path_factory.mktemp("job"))
    job.write(FAILS, 20, error_threshold=-1, run_max_try=1)
    done = job.run("--progress", "lines", ranks=2)
    assert done.status == 0, done.said()
    return job, done.stdout


def test_without_a_terminal_there_are_plain_lines(ended: tuple[Job, str]) -> None:
    """No control characters in a batch system's log; the end says what failed, and what to do now."""
    job, said = ended
    run_dir = job.folder / "run1"
    assert "\x1b" not in said
    assert re.search(r"^mpibatch: \d+/20 mini-batches \(\d+%\)", said, re.MULTILINE)
    assert re.search(r"first failure: mini-batch 3 \(0003\), score.py:\d+ in run, rank \d on", said)
    assert "ValueError: \\x1b[31mred" in said
    assert f"mpibatch failures {run_dir}" in said
    assert f"mpibatch resume {run_dir} --retry-failed" in said
    assert f"report        {run_dir}/report.html" in said
    assert "completed" in (run_dir / "report.html").read_text()


def test_what_was_said_is_kept(ended: tuple[Job, str]) -> None:
    log = (ended[0].folder / "run1" / "logs" / "job_progress_overview.txt").read_text()
    assert "20 mini-batches, 20 items" in log
    assert "first failure" in log
    end = (ended[0].folder / "run1" / "summary.txt").read_text()
    assert end.startswith("completed\n")
    assert end in ended[1].replace("mpibatch: completed", "completed")


def test_measurements_are_there(ended: tuple[Job, str]) -> None:
    """What the report and the documented columns need."""
    run_dir = ended[0].folder / "run1"
    (resources,) = (run_dir / "resources").glob("*.csv")
    assert resources.read_text().startswith("time,cpu_percent,memory_bytes,memory_total_bytes,gpu_percent,")
    starts = [json.loads(line) for line in (run_dir / "executors.jsonl").read_text().splitlines()]
    assert {start["rank"] for start in starts} == {0, 1}


@pytest.mark.ci
def test_a_reader_of_json_gets_nothing_else(job: Job) -> None:
    job.write(FAILS, 10, error_threshold=-1, run_max_try=1)
    done = job.run("--progress", "json", ranks=2)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["event"] for event in events} <= {"progress", "message", "end"}
    assert events[-1]["event"] == "end"
    assert events[-1]["mini_batches"]["succeeded"] == 9
    progressed = [event["mini_batches"]["remaining"] for event in events if event["event"] == "progress"]
    assert progressed == sorted(progressed, reverse=True), "it never goes backwards"


@pytest.mark.ci
@pytest.mark.parametrize(("columns", "variables"), [(40, {}), (200, {"NO_COLOR": "1"})])
def test_a_bar_on_a_terminal(job: Job, columns: int, variables: dict[str, str]) -> None:
    """It is drawn, what ranks print stands above it, and hostile texts move no cursor."""
    job.write(FAILS, 20, error_threshold=-1, run_max_try=1)
    command = job.command("run", job.folder / "job.yaml", "--run-dir", job.run_dir(), ranks=2)
    said = in_terminal(command, job.environment(TERM="xterm-256color", COLUMNS=str(columns), **variables), job.folder)
    assert "mini-batches" in said
    assert "of 2 executors" in re.sub(r"\s+", " ", said)
    assert "\x1b[31mred" not in said
    assert "completed" in said
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h"), "the cursor is shown again"
    if "NO_COLOR" in variables:
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", said)


def in_terminal(command: list[str], environment: dict[str, str], folder: Path) -> str:
    """All that a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:  # the last writer has closed it
        pass
    assert process.wait() == 0, said.decode()
    os.close(ours)
    return said.decode()


def test_a_notebook_shows_a_run_and_interprets_nothing(tmp_path: Path) -> None:
    page = run_html(make_run(tmp_path / "run").path)
    assert "completed" in page
    assert "<script" not in page
    assert "\x1b" not in page
