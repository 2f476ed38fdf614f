"""The same output bytes from any number of ranks, under either MPI, started plainly and by mpirun.

The MPI of this environment always takes part; MPICH does when MPIBATCH_MPICH_PYTHON names the python of an
environment with the mpich wheel, and with MPIBATCH_REQUIRE_MPICH=1 it is an error if none is named.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mpibatch.cluster.environment import without_launcher_variables
from tests.conftest import MPIS, ROOT, mpich_python, mpirun

pytestmark = pytest.mark.processes

DIGITS = ROOT / "jobs" / "digits"
FILES = 60

SCRIPT = """\
import os, time

def run(mini_batch, context):
    time.sleep(0.02 * (context.minibatch_index % 3))    # so that results come out of order
    return [f"{context.item_offset + place} {os.path.basename(path)}" for place, path in enumerate(mini_batch)]
"""
JOB = """\
name: names
inputs:
  texts: {type: files, path: data}
parallel_run_config: {entry_script: score.py, mini_batch_size: 3}
"""
EXPECTED = "".join(f"{number} {number:02}\n" for number in range(FILES)).encode()


@pytest.fixture(params=MPIS)
def python(request: pytest.FixtureRequest) -> Path:
    """An interpreter whose environment has an MPI."""
    return mpich_python() if request.param == "MPICH" else Path(sys.executable)


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    """In a folder with its script and its data."""
    (tmp_path / "data").mkdir()
    for number in range(FILES):
        (tmp_path / "data" / f"{number:02}").touch()
    (tmp_path / "score.py").write_text(SCRIPT)
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path / "job.yaml"


def output(python: Path, job: Path, run_dir: Path, ranks: int, by_mpirun: bool, tmp: Path | None = None) -> bytes:
    """Runs the job; the bytes of its output file. tmp: a folder for temporary files, if not the usual one."""
    run = [str(python), "-m", "mpibatch", "run", str(job), "--run-dir", str(run_dir)]
    done = subprocess.run(
        [*mpirun(python, ranks), *run] if by_mpirun else [*run, "-n", str(ranks)],
        env=without_launcher_variables(os.environ) | {"PYTHONPATH": str(ROOT)} | ({"TMPDIR": str(tmp)} if tmp else {}),
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((run_dir / "summary.json").read_text())["ranks"] == ranks
    return (run_dir / "outputs" / "parallel_run_step.txt").read_bytes()


@pytest.mark.parametrize(
    ("ranks", "by_mpirun"),
    [
        (1, False),
        (2, False),
        (5, True),
        pytest.param(1, True, marks=pytest.mark.ci),
        pytest.param(2, True, marks=pytest.mark.ci),
        pytest.param(5, False, marks=pytest.mark.ci),
    ],
)
def test_the_output_is_the_same(python: Path, job_file: Path, tmp_path: Path, ranks: int, by_mpirun: bool) -> None:
    assert output(python, job_file, tmp_path / "run", ranks, by_mpirun) == EXPECTED


@pytest.mark.ci
def test_what_a_killed_mpirun_left_is_no_obstacle(python: Path, job_file: Path, tmp_path: Path) -> None:
    """Open MPI 5 names its folder by its process number; one of the same number that was killed left its own."""
    last = int(Path("/proc/loadavg").read_text().split()[-1])
    for number in range(last, last + 3000):
        (tmp_path / "tmp" / f"ompi.{number}").mkdir(parents=True)
        (tmp_path / "tmp" / f"ompi.{number}" / f"pmix.{os.uname().nodename}.tool").touch()
    assert output(python, job_file, tmp_path / "run", 2, by_mpirun=False, tmp=tmp_path / "tmp") == EXPECTED
    assert not [path for path in (tmp_path / "tmp").iterdir() if not path.name.startswith("ompi.")]


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed")
@pytest.mark.parametrize("ranks", [pytest.param(1, marks=pytest.mark.ci), 2])
def test_the_digits_job(python: Path, tmp_path: Path, ranks: int) -> None:
    rows = output(python, DIGITS / "job.yaml", tmp_path / "run", ranks, by_mpirun=False)
    names = [line.partition(": ")[0] for line in rows.decode().splitlines()]
    assert names == sorted(path.name for path in (DIGITS / "data").glob("*.png"))
    check = [sys.executable, str(DIGITS / "check.py"), str(tmp_path / "run" / "outputs" / "parallel_run_step.txt")]
    assert subprocess.run(check, check=False).returncode == 0
