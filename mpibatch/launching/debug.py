"""One mini-batch in this process: what an executor does, without MPI, supervisor and time limits, so that pdb works.

    Job --environment, cores--> Plan --mini-batch K--> script imported, init() --> load --> run --> encode --> stdout
                                                             an exception --> its traceback on stderr, exit status 2

The script sees what it would see in an executor: working directory, sys.argv, sys.path, environment variables. stdin,
stdout and stderr are the terminal's. Rows go to stdout and mpibatch's own remarks to stderr.
"""

import bdb
import contextlib
import faulthandler
import logging
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mpibatch import azure_names
from mpibatch.config.choices import OutputAction
from mpibatch.config.schema import Job
from mpibatch.config.units import uncompressed
from mpibatch.datasets import open_datasets
from mpibatch.datasets.base import LoadError
from mpibatch.errors import ExitStatus, MpibatchError, UsageError
from mpibatch.executor import entry_script
from mpibatch.executor.attempt import PhaseTimer, call_run, run_phases
from mpibatch.executor.staging import substitute
from mpibatch.executor.tracebacks import summary_line, user_traceback
from mpibatch.output import open_encoder, open_format
from mpibatch.output.base import AppendFormat, Encoded, FinalizeFormat, InvalidReturn
from mpibatch.placement.layout import place_node, requested_layout
from mpibatch.runs.directory import RunDirectory
from mpibatch.types import UNKNOWN, MiniBatch
from mpibatch.worker.spawn import RankInfo, executor_environment


def debug(job: Job, index: int) -> int:
    """Runs mini-batch `index`; the exit status. Changes this process for good. Raises MpibatchError."""
    with _temporary_run_directory() as directory:
        _become_executor(job, directory)
        try:
            return _attempt(job, index)
        except (InvalidReturn, LoadError) as error:
            _notify(f"failed: {error}")
        except bdb.BdbQuit:
            return ExitStatus.INTERRUPTED  # the user has left the debugger
        except (MpibatchError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit too: in a run it is a failed attempt like any other
            sys.stdout.flush()
            print(user_traceback(error), end="", file=sys.stderr, flush=True)
            _notify(f"failed: the script raised {summary_line(error)}")
        return ExitStatus.USAGE


def _attempt(job: Job, index: int) -> int:
    config = job.config
    batch, frozen = _find(job, index)
    dataset = open_datasets(job)[batch.dataset]
    dataset.load_state(frozen)
    items = "" if batch.items == UNKNOWN else f", {batch.items} items"
    source = f" of input {job.inputs[batch.dataset].name!r}{items}" if job.inputs else ""
    _notify(f"mini-batch {index}{source}; working directory {os.getcwd()}")
    script = entry_script.load(Path(config.source_directory), config.entry_script, _arguments(job))
    began = time.monotonic()
    if script.init is not None:
        script.init()
    loading = time.monotonic()
    encoder = open_encoder(uncompressed(config.append_row_file_name), config.append_row_format, config.output_action)
    inputs = [input.name for input in job.inputs] or [""]
    phases = PhaseTimer(lambda phase: time.monotonic(), loading)
    loaded, encoded = run_phases(
        lambda: dataset.load(batch.payload),
        lambda value: call_run(script, batch, value, inputs),
        encoder.encode,
        phases,
        math.inf,
    )
    if script.shutdown is not None:
        script.shutdown()
    sys.stdout.flush()
    _show(job, encoded)
    _notify(f"{encoded.rows} rows for {loaded.items} items; init {loading - began:.2f} s, run {phases.run:.2f} s")
    if job.inputs and encoded.rows < loaded.items:
        _notify(f"{loaded.items - encoded.rows} rows are missing: in a run as many items would count as failed")
    if phases.run > config.run_invocation_timeout:
        _notify(f"a run would have ended it: run_invocation_timeout is {config.run_invocation_timeout:g} s")
    return ExitStatus.COMPLETE


def _arguments(job: Job) -> tuple[str, ...]:
    """Of the script: side inputs that a run would copy to the node are used where they are."""
    return substitute(job.arguments, {side.name: side.path for side in job.side_inputs})


def _find(job: Job, index: int) -> tuple[MiniBatch, bytes]:
    """The mini-batch, and what its dataset found out about the input. Raises UsageError where there is none."""
    from mpibatch.planning.plan import Plan  # after the environment is set: it loads NumPy

    datasets = open_datasets(job)
    plan = Plan.build(datasets, map)
    if not 0 <= index < plan.total:
        there_are = f"there are {plan.total}, from 0 to {plan.total - 1}" if plan.total else "the job has none at all"
        raise UsageError(f"no mini-batch {index}: {there_are}")
    batch = plan.mini_batch(index)
    return batch, datasets[batch.dataset].dump_state()


def _show(job: Job, encoded: Encoded) -> None:
    """The rows as the job's output file would begin with them."""
    config = job.config
    if config.output_action is OutputAction.SUMMARY_ONLY or not encoded.data:
        return
    writer = open_format(uncompressed(config.append_row_file_name), config.append_row_format)
    if isinstance(writer, AppendFormat):
        sys.stdout.buffer.write(writer.header(encoded.schema) + encoded.data)
        sys.stdout.buffer.flush()
    else:
        _show_table(writer, encoded)


def _show_table(writer: FinalizeFormat, encoded: Encoded) -> None:
    """A binary file as the table that is in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        writer.finalize(path, encoded.schema, [(encoded.schema, encoded.data)])
        print(writer.read(path).to_pandas().to_string(), flush=True)


def _become_executor(job: Job, directory: RunDirectory) -> None:
    """As the executor of the first rank that a plain run on this machine would start. Raises UsageError."""
    config = job.config
    placement = place_node(config, requested_layout(config, os.environ).per_node, os.environ)[0]
    rank_info = RankInfo(0, 0, os.uname().nodename, placement)
    environment = executor_environment(job, directory, rank_info, os.environ)
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, placement.cores)
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of the command or of the shell; executors have neither
    os.chdir(config.source_directory)
    azure_names.fill_in()
    faulthandler.enable()
    logging.basicConfig(level=config.logging_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


@contextlib.contextmanager
def _temporary_run_directory() -> Iterator[RunDirectory]:
    """A place for what the script writes to MPIBATCH_OUTPUT_DIR; it stays if there is anything in it."""
    directory = RunDirectory(Path(tempfile.mkdtemp(prefix="mpibatch-debug-")))
    directory.outputs.mkdir()
    try:
        yield directory
    finally:
        if any(directory.outputs.iterdir()):
            _notify(f"the script's own files are in {directory.outputs}")
        else:
            for folder in (directory.outputs, directory.path):
                folder.rmdir()


def _notify(text: str) -> None:
    print(f"mpibatch: {text}", file=sys.stderr, flush=True)
