"""`python -m mpibatch.mpi RUN_DIR`: what a launcher starts as each rank; RUN_DIR holds a run.json."""

import os
import sys
from pathlib import Path

from mpibatch.mpi.session import run_rank
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.record import job_of


def main() -> int:
    directory = RunDirectory(Path(sys.argv[1]).absolute())
    return run_rank(lambda: (job_of(directory), directory), os.environ)


if __name__ == "__main__":
    sys.exit(main())
