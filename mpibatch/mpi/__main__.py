"""`python -m mpibatch.mpi RUN_DIR`: what a launcher starts as each rank; RUN_DIR holds a run.json."""

import argparse
import os
import sys
from pathlib import Path

from mpibatch.errors import TOLD, ExitStatus
from mpibatch.mpi.lifeline import Lifeline
from mpibatch.placement import limits


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mpibatch.mpi", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--retry-failed", action="store_true")
    parser.add_argument("--accept-changed-inputs", action="store_true")
    options = parser.parse_args()
    lifeline = Lifeline.to_parent(limits.together(0, os.environ))
    from mpibatch.mpi.session import run_rank
    from mpibatch.reporting.console import print_anything
    from mpibatch.runs.directory import RunDirectory
    from mpibatch.runs.record import Opened, Wishes, job_of

    print_anything()
    directory = RunDirectory(options.run_dir.absolute())
    wishes = Wishes(options.retry_failed, options.accept_changed_inputs)
    status = run_rank(lambda: Opened(job_of(directory), directory, wishes), os.environ, lifeline)
    return TOLD if status is ExitStatus.ERROR else status


if __name__ == "__main__":
    sys.exit(main())
