"""What can be wrong with a run directory, before and while a run is at work: a clear message, the right exit status,
nothing lost, and never a traceback."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mpibatch.errors import ExitStatus
from mpibatch.liveness.lease import Owner
from mpibatch.liveness.process_tree import descendants
from mpibatch.runs.log_records import MAGIC
from tests.chaos.jobs import mpibatch
from tests.processes import MARK, command, none_left

pytestmark = pytest.mark.processes

SCRIPT = """
import os, time
def run(mini_batch):
    if os.environ.get("FAIL") and mini_batch[0].endswith("7"):
        raise ValueError("a seven")
    late = int(os.path.basename(mini_batch[0])) >= 50
    time.sleep(float(os.environ.get("LATER" if late else "SECONDS", "0.005")))  # less would be held until run() ends
    while late and "GATE" in os.environ and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    return [os.path.basename(path) + " " + "x" * 500 for path in mini_batch]
"""
COUNT = 200
EXPECTED = "".join(f"{number} {'x' * 500}\n" for number in range(COUNT))

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

Copy = Callable[[], object]


def write(folder: Path) -> Path:
    """The job file."""
    (folder / "score.py").write_text(SCRIPT)
    (folder / "paths.txt").write_text("".join(f"/data/{number}\n" for number in range(COUNT)))
    settings = {"entry_script": "score.py", "mini_batch_size": 1, "error_threshold": -1, "run_max_try": 1, "grace": 5}
    inputs = {"numbers": {"type": "files", "path": {"manifest": "paths.txt"}}}
    path = folder / "job.yaml"
    path.write_text(json.dumps({"name": "plain", "inputs": inputs, "parallel_run_config": settings}))
    return path


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return write(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def mark(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of this test's processes, of which none may be left."""
    name = f"{request.node.name}-{os.getpid()}-{time.monotonic_ns()}"
    yield name
    none_left(name)


class Run:
    """A command under way, with what it says."""

    def __init__(self, mark: str, *arguments: object, **variables: str) -> None:
        self.process = subprocess.Popen(
            mpibatch(*arguments),
            env={**os.environ, MARK: mark, "MPIBATCH_START_LIMIT": "30", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until(self, condition: Callable[[], bool]) -> "Run":
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, f"not within 30 s; {self.process.poll()}"
            time.sleep(0.01)
        return self

    def says(self, words: str) -> str:
        """Reads on until it says so; what it has said."""
        assert self.process.stdout is not None
        said = ""
        while words not in said:
            line = self.process.stdout.readline()
            assert line, said
            said += line
        return said

    def ends(self, status: int, *words: str) -> str:
        """Waits for it; its words, which must have `words` among them, and no traceback but of the script's."""
        said, _ = self.process.communicate(timeout=90)
        assert self.process.returncode == status, said
        assert "Traceback" not in said or "ValueError: a seven" in said, said
        assert "unexpected" not in said
        for word in words:
            assert word in said
        return said


def done(run: Path) -> int:
    """Bytes of the output so far."""
    path = run / "outputs" / "parallel_run_step.txt"
    return path.stat().st_size if path.exists() else 0


def output(run: Path) -> str:
    return (run / "outputs" / "parallel_run_step.txt").read_text()


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was asked to stop in its midst."""
    job, mark = write(tmp_path_factory.mktemp("stopped")), f"stopped-{os.getpid()}"
    run = job.with_name("run")
    going = Run(mark, "run", job, "-n", 1, "--run-dir", run, SECONDS="0.02").until(lambda: done(run) > 5000)
    going.process.send_signal(signal.SIGTERM)
    going.ends(ExitStatus.STOPPED, "a signal to the launcher")
    return run


@pytest.fixture
def stopped(stopped_once: Path, run: Path) -> Copy:
    """Puts a copy of it at `run`."""
    return lambda: shutil.copytree(stopped_once, run, symlinks=True, dirs_exist_ok=True)


def finish(run: Path, mark: str, *options: object) -> None:
    Run(mark, "resume", run, "-n", 1, *options).ends(ExitStatus.COMPLETE, "completed")
    assert output(run) == EXPECTED
    items = json.loads((run / "summary.json").read_text())["items"]
    assert (items["total"], items["succeeded"], items["failed"]) == (COUNT, COUNT, 0)


@pytest.mark.ci
def test_a_finished_run_has_nothing_left_to_do(job: Path, run: Path, mark: str) -> None:
    Run(mark, "run", job, "-n", 1, "--run-dir", run).ends(0)
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*") if path.is_file())
    Run(mark, "resume", run, "-n", 1).ends(0, "complete; there is nothing left to do")
    Run(mark, "resume", run, "-n", 2).ends(0, "complete; there is nothing left to do")
    Run(mark, "run", job, "-n", 1, "--run-dir", run).ends(0, "nothing left to do")
    Run(mark, "resume", run, "-n", 1, "--retry-failed").ends(0, "nothing has failed")
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*") if path.is_file()) == before


@pytest.mark.ci
def test_what_is_no_run_directory(tmp_path: Path, mark: str) -> None:
    Run(mark, "resume", tmp_path / "nowhere").ends(ExitStatus.USAGE, "no run directory", "does not exist")
    Run(mark, "resume", tmp_path).ends(ExitStatus.USAGE, "no run directory", "no run.json")
    Run(mark, "clean", tmp_path).ends(ExitStatus.USAGE, "no run directory")
    (tmp_path / "run.json").write_text('{"job": ')
    Run(mark, "resume", tmp_path).ends(ExitStatus.ERROR, "run.json")
    (tmp_path / "run.json").write_text('{"job": {"name": 3, "from": "the future"}}')
    Run(mark, "resume", tmp_path).ends(ExitStatus.ERROR, "another version of mpibatch")


@pytest.mark.ci
def test_a_second_run_on_the_directory_is_refused(job: Path, run: Path, mark: str) -> None:
    gate = run.with_name("gate")
    first = Run(mark, "run", job, "-n", 1, "--run-dir", run, GATE=str(gate), LATER="0.05")
    first.until(lambda: done(run) > 5000)
    recorded = (run / "run.json").read_bytes()
    for second in ("resume", run), ("run", job, "--run-dir", run), ("resume", run, "--set", "grace=7"):
        Run(mark, *second, "-n", 1).ends(ExitStatus.USAGE, "is in use by process")
    Run(mark, "resume", run, "-n", 2).ends(ExitStatus.USAGE, "is in use by process")
    Run(mark, "clean", run).ends(ExitStatus.USAGE, "is in use by process")
    assert (run / "run.json").read_bytes() == recorded
    first.process.send_signal(signal.SIGTERM)
    gate.touch()
    first.ends(ExitStatus.STOPPED)
    finish(run, mark)


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_job_that_slurm_has_started_again_waits_for_its_predecessor(
    job: Path, run: Path, mark: str, ranks: int
) -> None:
    """Which may live on, on a node that Slurm hears nothing of."""
    gate = run.with_name("gate")
    first = Run(mark, "run", job, "-n", 1, "--run-dir", run, GATE=str(gate)).until(lambda: done(run) > 5000)
    again = Run(mark, "run", job, "-n", ranks, "--run-dir", run, SLURM_RESTART_COUNT="1")
    assert "is in use by process" in again.says("That is waited for")
    gate.touch()
    first.ends(ExitStatus.COMPLETE)
    again.ends(ExitStatus.COMPLETE, "nothing left to do")
    assert output(run) == EXPECTED


@pytest.mark.ci
@pytest.mark.parametrize(
    ("launched", "said"), [(True, "stopped by SIGUSR1"), (False, "waited for until a signal came")]
)
def test_who_waits_for_its_predecessor_can_be_stopped(
    job: Path, run: Path, mark: str, launched: bool, said: str
) -> None:
    """By a signal to the launcher, or to the rank itself, as Slurm sends it to those of `srun`."""
    gate = run.with_name("gate")
    first = Run(mark, "run", job, "-n", 1, "--run-dir", run, GATE=str(gate)).until(lambda: done(run) > 5000)
    again = Run(mark, "run", job, "-n", 1, "--run-dir", run, SLURM_RESTART_COUNT="1")
    again.says("That is waited for")
    ranks = [pid for pid in descendants(again.process.pid) if "mpibatch.mpi" in command(pid).split()]
    for pid in [again.process.pid] if launched else ranks:
        os.kill(pid, signal.SIGUSR1)
    again.ends(ExitStatus.STOPPED, said)
    gate.touch()
    first.ends(ExitStatus.COMPLETE)


def test_another_job_in_the_directory_is_refused(job: Path, run: Path, mark: str, stopped: Copy) -> None:
    stopped()
    job.write_text(job.read_text().replace('"mini_batch_size": 1', '"mini_batch_size": 2'))
    Run(mark, "run", job, "-n", 1, "--run-dir", run).ends(ExitStatus.USAGE, "mini_batch_size", "side by side")
    Run(mark, "resume", run, "--set", "mini_batch_size=2").ends(ExitStatus.USAGE, "a resume can change only")


def test_a_damaged_log_is_reported_and_done_again(run: Path, mark: str, stopped: Copy) -> None:
    stopped()
    log = run / "results.1.log"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 64
    log.write_bytes(content)
    Run(mark, "resume", run, "-n", 1).ends(0, "results.1.log is cut off or damaged at byte")
    assert output(run) == EXPECTED


def test_a_log_of_another_version_is_refused(run: Path, mark: str, stopped: Copy) -> None:
    stopped()
    log = run / "results.1.log"
    log.write_bytes(re.sub(rb"\d", b"0", MAGIC) + log.read_bytes()[len(MAGIC) :])
    Run(mark, "resume", run, "-n", 2).ends(ExitStatus.ERROR, "another version of mpibatch")


@pytest.mark.ci
@pytest.mark.parametrize("name", ["plan.parquet", "results.1.log"])
def test_a_file_that_cannot_be_read(run: Path, mark: str, name: str, stopped: Copy) -> None:
    """A folder in its place, since root may read every file."""
    stopped()
    (run / ".plan.parquet.copy").unlink()
    (run / name).unlink()
    (run / name).mkdir()
    Run(mark, "resume", run, "-n", 1).ends(ExitStatus.ERROR, name)


@pytest.mark.ci
def test_a_plan_that_is_damaged(run: Path, mark: str, stopped: Copy) -> None:
    stopped()
    (run / "plan.parquet").write_bytes((run / "plan.parquet").read_bytes()[:-20])
    (run / ".plan.parquet.copy").write_bytes(b"")
    Run(mark, "resume", run, "-n", 2).ends(ExitStatus.ERROR, "cannot read the plan")


@pytest.mark.ci
@pytest.mark.parametrize("name", ["plan.parquet", "run.json", "summary.json"])
def test_what_a_crash_of_the_machine_may_leave_empty(run: Path, mark: str, name: str, stopped: Copy) -> None:
    """The copy is read, or it is as if it had not been written: the log can still serve the resume."""
    stopped()
    (run / name).write_bytes(b"")
    Run(mark, "resume", run, "-n", 1).ends(0)
    assert output(run) == EXPECTED


def test_an_output_edited_by_hand_is_made_anew(run: Path, mark: str, stopped: Copy) -> None:
    stopped()
    path = run / "outputs" / "parallel_run_step.txt"
    path.write_bytes(path.read_bytes().replace(b"x", b"y", 1))
    Run(mark, "resume", run, "-n", 1).ends(0, "was changed by others")
    assert output(run) == EXPECTED


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_directory_deleted_while_it_runs(job: Path, run: Path, mark: str, ranks: int) -> None:
    going = Run(mark, "run", job, "-n", ranks, "--run-dir", run, LATER="0.05").until(lambda: done(run) > 2000)
    while run.exists():  # the run may write into a folder that was just emptied
        shutil.rmtree(run, ignore_errors=True)
    going.ends(ExitStatus.ERROR, "is gone")


@pytest.fixture
def mounted(run: Path) -> Iterator[Callable[[str], None]]:
    """The run directory on a file system of its own; gives what changes its options."""
    run.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "x", str(run)], check=True)

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(run)], check=True)

    yield remount
    subprocess.run(["umount", "-l", str(run)], check=True)


@pytest.mark.ci
@only_root
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_read_only_run_directory(
    job: Path, run: Path, mark: str, mounted: Callable[[str], None], ranks: int, stopped: Copy
) -> None:
    mounted("ro")
    Run(mark, "run", job, "-n", ranks, "--run-dir", run).ends(ExitStatus.ERROR, "Read-only file system")
    mounted("rw")
    stopped()
    mounted("ro")
    Run(mark, "resume", run, "-n", ranks).ends(ExitStatus.ERROR, "Read-only file system", str(run))
    Run(mark, "clean", run).ends(ExitStatus.ERROR, "Read-only file system")
    mounted("rw")
    finish(run, mark)


@pytest.mark.ci
@only_root
@pytest.mark.parametrize("pages", [0, 1, 2, 3, 5, 8, 20])
def test_a_full_disk_at_any_write(job: Path, run: Path, mark: str, mounted: Callable[[str], None], pages: int) -> None:
    """From no page free before the first write on; room is made, and the run goes on to the same output."""
    mounted(f"size={4096 * max(1, pages)}")
    if not pages:
        (run / "filler").write_bytes(b"x" * 4096)
    Run(mark, "run", job, "-n", 1 + pages % 2, "--run-dir", run).ends(ExitStatus.ERROR, "No space left on device")
    mounted("size=64m")
    if (run / "run.json").exists():
        finish(run, mark)
    else:
        Run(mark, "run", job, "-n", 1, "--run-dir", run).ends(0)
    assert output(run) == EXPECTED


@pytest.mark.ci
def test_clean_drops_what_only_a_resume_needs(run: Path, mark: str, stopped: Copy) -> None:
    stopped()
    Run(mark, "clean", run).ends(0, "MB dropped", "begins from the start")
    assert not list(run.glob("results.*"))
    finish(run, mark)
    kept = {path.name for path in run.iterdir()}
    Run(mark, "clean", run).ends(0, "0.0 MB dropped")
    assert {path.name for path in run.iterdir()} == kept
    assert output(run) == EXPECTED


@pytest.mark.ci
def test_failed_mini_batches_are_tried_again_unless_cleaned_away(job: Path, run: Path, mark: str) -> None:
    Run(mark, "run", job, "-n", 1, "--run-dir", run, FAIL="1").ends(0, "20 failed")
    spare = run.with_name("spare")
    shutil.copytree(run, spare)
    finish(run, mark, "--retry-failed")
    Run(mark, "clean", spare).ends(0)
    Run(mark, "resume", spare, "-n", 1).ends(0, "nothing left to do")
    Run(mark, "resume", spare, "-n", 1, "--retry-failed").ends(ExitStatus.USAGE, "dropped by `mpibatch clean`")


@pytest.mark.ci
def test_an_owner_that_died_on_this_machine_is_taken_over(run: Path, mark: str, stopped: Copy) -> None:
    stopped()
    ended = subprocess.Popen(["true"])
    ended.wait()
    me = Owner.current()
    owner = {"key": "k", "host": me.host, "boot_id": me.boot_id, "pid": ended.pid, "began": 1}
    (run / "owner.json").write_text(json.dumps(owner))
    finish(run, mark)
