"""`python -m mpibatch.mpi RUN_DIR`: what a launcher starts as each rank; RUN_DIR holds a run.json."""

import argparse
import os
import sys
from pathlib import Path

from mpibatch.errors import REASON_PRINTED, ExitStatus, UsageError
from mpibatch.liveness import timers
from mpibatch.liveness.deadman import DeadmanSwitch


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mpibatch.mpi", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--retry-failed", action="store_true")
    parser.add_argument("--accept-changed-inputs", action="store_true")
    options = parser.parse_args()
    try:
        deadman = DeadmanSwitch.start(timers.startup_timeout(0, os.environ))
    except UsageError as error:
        print(f"mpibatch: {error}", file=sys.stderr, flush=True)
        return error.status
    from mpibatch.mpi.rank import run_rank
    from mpibatch.reporting.console import prepare_streams
    from mpibatch.runs.directory import RunDirectory
    from mpibatch.runs.resume import ResumeOptions, RunContext
    from mpibatch.runs.run_record import read_job

    prepare_streams()
    directory = RunDirectory(options.run_dir.absolute())
    resume = ResumeOptions(options.retry_failed, options.accept_changed_inputs)
    status = run_rank(lambda: RunContext(read_job(directory), directory, resume, watched=True), os.environ, deadman)
    return REASON_PRINTED if status is ExitStatus.ERROR else status


if __name__ == "__main__":
    sys.exit(main())
