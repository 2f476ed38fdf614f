"""Pipelines from the command line: they run in order, take earlier outputs, stop, fail and go on."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Job, wait_for
from tests.pipelines.conftest import HELPER, PREPARE, Run, states, write

pytestmark = pytest.mark.processes


def test_steps_run_and_are_reused_where_nothing_has_changed(run: Run, job: Job) -> None:
    """Each change makes the step that it is about run again, and what depends on it; the order is that of the data."""
    write(job.folder)
    first = run()
    assert first.status == 0, first.said()
    assert states(first.run_dir) == dict.fromkeys(["prepare", "score", "report"], "completed")
    rows = (first.run_dir / "steps/score/outputs/parallel_run_step.txt").read_text().splitlines()
    assert rows == [f"{number:02}.txt {number}" for number in range(6)]
    assert (first.run_dir / "steps/report/outputs/report.txt").read_text() == "6 rows\n"
    (log,) = (first.run_dir / "steps/prepare/logs/user/stdout").glob("*/rank0.txt")
    assert log.read_text() == "prepared 6\n"

    second = run()
    assert second.status == 0, second.said()
    assert states(second.run_dir) == dict.fromkeys(["prepare", "score", "report"], "reused")
    assert f"its output is taken from {first.run_dir / 'steps' / 'score'}" in second.stderr
    assert (second.run_dir / "steps/report/outputs/report.txt").read_text() == "6 rows\n"
    status = json.loads((second.run_dir / "status.json").read_text())
    assert [step["reused_from"] for step in status["steps"]] == [
        str(first.run_dir / "steps" / name) for name in ("prepare", "score", "report")
    ]

    (job.folder / "scoring" / "helper.py").write_text(HELPER.replace("getsize(path)", "getsize(path) + 1"))
    changed = run()
    assert states(changed.run_dir) == {"prepare": "reused", "score": "completed", "report": "completed"}, changed.said()
    parameter = run("--set", "count=3")
    assert states(parameter.run_dir) == dict.fromkeys(["prepare", "score", "report"], "completed"), parameter.said()
    assert (parameter.run_dir / "steps/report/outputs/report.txt").read_text() == "3 rows\n"


@pytest.mark.ci
def test_no_reuse_runs_all_again(run: Run, job: Job) -> None:
    write(job.folder)
    assert run().status == 0
    again = run("--no-reuse")
    assert set(states(again.run_dir).values()) == {"completed"}, again.said()


@pytest.mark.ci
def test_a_failed_step_stops_what_depends_on_it_and_a_resume_goes_on(run: Run, job: Job) -> None:
    """The reason is the script's own last words. The failed step begins anew, in an empty folder, with its script as
    it is now, and a line says so."""
    write(job.folder)
    (job.folder / "reporting" / "report.py").write_text("open('once', 'x')\nraise ValueError('no paper')\n")
    failed = run()
    assert failed.status == 3, failed.said()
    assert states(failed.run_dir) == {"prepare": "completed", "score": "completed", "report": "failed"}
    assert "report.py ended with status 1: ValueError: no paper" in failed.stderr
    write(job.folder)
    resumed = job.finish(job.command("resume", failed.run_dir), failed.run_dir)
    assert resumed.status == 0, resumed.said()
    assert "step report: " in resumed.stderr
    assert "has changed since the run began" in resumed.stderr
    assert (failed.run_dir / "steps/report/outputs/report.txt").read_text() == "6 rows\n"
    nothing = job.finish(job.command("resume", failed.run_dir), failed.run_dir)
    assert "nothing left to do" in nothing.stderr
    (job.folder / "preparing" / "prepare.py").write_text("raise SystemExit(5)\n")
    first = run()
    assert states(first.run_dir) == {"prepare": "failed", "score": "skipped", "report": "skipped"}, first.said()


SLOW = """
import time
print("begun", flush=True)
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.05)
"""


def begun(run_dir: Path) -> bool:
    return any("begun" in log.read_text() for log in run_dir.glob("steps/*/logs/user/stdout/*/rank0.txt"))


@pytest.mark.ci
def test_a_signal_stops_the_running_step_and_a_resume_goes_on_there(run: Run, job: Job) -> None:
    write(job.folder)
    (job.folder / "preparing" / "prepare.py").write_text(PREPARE + SLOW)

    def stop(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: begun(run_dir))
        process.send_signal(signal.SIGTERM)

    gate = job.folder / "gate"
    stopped = run(meanwhile=stop, variables={"GATE": str(gate)})
    assert stopped.status == 75, stopped.said()
    assert states(stopped.run_dir) == {"prepare": "stopped", "score": "waiting", "report": "waiting"}
    assert not job.processes()
    gate.touch()
    resumed = job.finish(job.command("resume", stopped.run_dir), stopped.run_dir, variables={"GATE": str(gate)})
    assert resumed.status == 0, resumed.said()
    assert (stopped.run_dir / "steps/report/outputs/report.txt").read_text() == "6 rows\n"


@pytest.mark.ci
def test_two_processes_do_not_run_the_same_pipeline(run: Run, job: Job) -> None:
    write(job.folder)
    (job.folder / "preparing" / "prepare.py").write_text(PREPARE + SLOW)
    gate = job.folder / "gate"

    def try_too(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: begun(run_dir))
        other = job.finish(job.command("resume", run_dir), run_dir)
        gate.touch()
        assert other.status == 2, other.said()
        assert "is in use by process" in other.stderr

    done = run(meanwhile=try_too, variables={"GATE": str(gate)})
    assert done.status == 0, done.said()


def test_a_script_that_takes_too_long_has_failed(run: Run, job: Job) -> None:
    step = {"name": "slow", "script": "slow.py", "timeout": 0.5}
    write(job.folder, steps=[step])
    (job.folder / "slow.py").write_text("import time\ntime.sleep(1000)\n")
    done = run()
    assert done.status == 3, done.said()
    assert "ran longer than its timeout of 0.5 s" in done.stderr


def test_an_edit_changes_no_run_under_way_and_ignored_files_are_not_copied(run: Run, job: Job) -> None:
    write(job.folder)
    (job.folder / "scoring" / ".amlignore").write_text("*.bin\nlarge/\n")
    (job.folder / "scoring" / "large").mkdir()
    for name in ("a.bin", "large/b.txt"):
        (job.folder / "scoring" / name).touch()
    (job.folder / "preparing" / "prepare.py").write_text(PREPARE + SLOW)
    gate = job.folder / "gate"

    def edit(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: begun(run_dir))
        (job.folder / "scoring" / "score.py").write_text("def run(mini_batch):\n    return []\n")
        gate.touch()

    done = run(meanwhile=edit, variables={"GATE": str(gate)})
    assert done.status == 0, done.said()
    assert (done.run_dir / "steps/report/outputs/report.txt").read_text() == "6 rows\n"
    copied = {os.path.basename(path) for path in (done.run_dir / "source" / "score").iterdir()}
    assert copied >= {"score.py", "helper.py", ".amlignore"}
    assert not copied & {"a.bin", "large"}


def test_the_batch_script_has_one_job_for_all_steps(job: Job) -> None:
    write(job.folder)
    command = job.command("submit", job.folder / "pipeline.yaml", "--dry-run", "--set", "count=3")
    done = job.finish(command, job.folder)
    assert done.status == 0, done.said()
    (line,) = [line for line in done.stdout.splitlines() if " -m mpibatch run " in line]
    assert line.endswith("--set count=3 &")
    assert " -n " not in line, "each step says how many ranks it has"


def test_validate_tells_the_order(job: Job) -> None:
    write(job.folder)
    done = job.finish(job.command("validate", job.folder / "pipeline.yaml"), job.folder)
    assert [line.split(":")[0].strip() for line in done.stdout.splitlines()[1:]] == ["prepare", "score", "report"]
