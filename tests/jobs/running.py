"""The programs of jobs/, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from mpibatch.cluster.environment import without_launcher_variables

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "jobs"


def start(*command: object) -> str:
    """Runs Python in a process of its own; what it said."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env={**without_launcher_variables(os.environ), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
