"""`mpibatch submit --try`: the first mini-batch here, before anything waits in a queue.

    Job --> Plan --mini-batch 0--> a Worker of its own, without MPI: sandboxed executor, watchdog, memory limit
                                       success --> what it took, in words       anything else --> TrialFailed, with why

The executor gets the place, the limits and the environment of rank 0 of a run on this machine. The run directory is a
temporary one, which stays for its logs only where the trial has failed.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import AttemptOutcome, Failure, decode_failures
from mpibatch.config.schema import Job
from mpibatch.config.units import format_memory
from mpibatch.datasets import open_datasets
from mpibatch.datasets.state_file import write_states
from mpibatch.errors import ExitStatus, MpibatchError
from mpibatch.executor import staging
from mpibatch.output import open_encoder
from mpibatch.placement.layout import place_node
from mpibatch.planning.plan import Plan
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.worker.diagnosis import NOT_STARTED
from mpibatch.worker.messages import ExecuteTasks, Report, Results, StartFailed, WorkerRetired
from mpibatch.worker.settings import WorkerSettings
from mpibatch.worker.spawn import RankInfo, executor_factory, staging_folder
from mpibatch.worker.worker import Worker

POLL_SECONDS = 0.005


class TrialFailed(MpibatchError):
    """The script cannot do its first mini-batch here."""

    status = ExitStatus.USAGE


def try_first(job: Job, env: Mapping[str, str]) -> str:
    """Runs mini-batch 0 of the job, once; what came of it, in words. Raises TrialFailed, UsageError."""
    datasets = open_datasets(job)
    plan = Plan.build(datasets, map)
    if not plan.total:
        return "there is no mini-batch to try"
    path = Path(tempfile.mkdtemp(prefix="mpibatch-try-")) / "run"
    directory = create_at(path)
    write_states(directory.dataset_states, datasets)
    try:
        report = _run_first(job, plan, directory, env)
    except TrialFailed:
        raise
    except BaseException:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise
    finally:
        staging.remove(staging_folder(job, directory, env))
    shutil.rmtree(path.parent, ignore_errors=True)
    return report


def _run_first(job: Job, plan: Plan, directory: RunDirectory, env: Mapping[str, str]) -> str:
    config, host, began = job.config, os.uname().nodename, time.monotonic()
    rank_info = RankInfo(0, 0, host, place_node(config, 1, env)[0])
    worker = Worker(
        WorkerSettings.from_config(config, 0, host),
        executor_factory(job, directory, rank_info, env),
        open_encoder(config.append_row_file_name, config.append_row_format, config.output_action),
    )
    worker.handle(ExecuteTasks(plan.batches(0, 1), tries=1))
    try:
        while True:
            for report in worker.poll():
                if (text := _outcome(report, directory, time.monotonic() - began)) is not None:
                    return text
            time.sleep(POLL_SECONDS)
    finally:
        with contextlib.suppress(OSError):
            worker.kill()


def _outcome(report: Report, directory: RunDirectory, seconds: float) -> str | None:
    """What the trial has come to, None as long as it has not. Raises TrialFailed."""
    match report:
        case StartFailed(failure) | WorkerRetired(failure):
            raise TrialFailed(_failed(failure, directory))
        case Results(records, data):
            (record,) = np.frombuffer(records, dtype=ATTEMPT_DTYPE)
            if record["cause"] != AttemptOutcome.SUCCEEDED:
                raise TrialFailed(_failed(decode_failures(data[int(record["row_bytes"]) :])[0], directory))
            memory = f", {format_memory(int(record['memory']))} of memory" if record["memory"] else ""
            return (
                f"mini-batch 0 was tried here: {record['succeeded']} rows for {record['items']} items, run() took "
                f"{record['run']:.3g} s of {seconds:.3g} s in all{memory}"
            )
    return None


def _failed(failure: Failure, directory: RunDirectory) -> str:
    traceback = f"\n{failure.traceback.rstrip()}" if failure.traceback else ""
    what = {"init": "init()", NOT_STARTED: "an executor"}.get(failure.cause, "mini-batch 0")
    return (
        f"{what} was tried here and failed, so nothing is submitted; its logs are below {directory.path}. "
        f"{failure.error}{traceback}"
    )
