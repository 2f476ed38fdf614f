"""What under_mpirun.py asserts on each of three real ranks (pytest-mpi): their messages, and a plan made by all."""

import os
import subprocess
from pathlib import Path

from mpibatch.placement.variables import executor_environment
from tests.conftest import ROOT, Job, mpirun


def test_on_three_ranks(either_mpi: Job, tmp_path: Path) -> None:
    pytest_words = ["-m", "pytest", "--only-mpi", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist"]
    words = ["--import-mode=importlib", "--timeout=60", str(Path(__file__).with_name("under_mpirun.py"))]
    done = subprocess.run(
        [*mpirun(either_mpi.python, 3), either_mpi.python, *pytest_words, *words],
        env={**executor_environment(os.environ), "PYTHONPATH": str(ROOT)}, cwd=ROOT,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("6 passed") == 3, done.stdout
