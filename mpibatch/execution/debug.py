"""One mini-batch in this process: what an executor does, without MPI, guardian and time limits, so that pdb works.

    Job --environment, cores--> Plan --mini-batch K--> script imported, init() --> load --> run --> encode --> stdout
                                                             an exception --> its traceback on stderr, exit status 2

The script sees what it would see in an executor: working directory, sys.argv, sys.path, environment variables. stdin,
stdout and stderr are the terminal's. Rows go to stdout and mpibatch's own remarks to stderr.
"""

import bdb
import contextlib
import faulthandler
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpibatch.config.schema import Job, OutputAction
from mpibatch.datasets import open_datasets
from mpibatch.datasets.base import Loaded, LoadError
from mpibatch.errors import ExitStatus, MpibatchError, UsageError
from mpibatch.execution import entry
from mpibatch.execution.entry import EntryScript, context_of
from mpibatch.execution.furnish import Seat, environment_of
from mpibatch.execution.staging import substituted
from mpibatch.execution.trace import one_line, user_traceback
from mpibatch.output import open_encoder, open_writer
from mpibatch.output.base import Encoded, Finalizer, Stream, WrongReturn
from mpibatch.placement.ranks import node_places, wanted_ranks
from mpibatch.runs.directory import RunDirectory
from mpibatch.types import UNKNOWN, MiniBatch

INTERRUPTED = 130  # the user has left the debugger


def debug(job: Job, index: int) -> int:
    """Runs mini-batch `index`; the exit status. Changes this process for good. Raises MpibatchError."""
    with _scratch() as directory:
        _become_executor(job, directory)
        try:
            return _attempt(job, index)
        except (WrongReturn, LoadError) as error:
            _say(f"failed: {error}")
        except bdb.BdbQuit:
            return INTERRUPTED
        except (MpibatchError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit too: in a run it is a failed attempt like any other
            sys.stdout.flush()
            print(user_traceback(error), end="", file=sys.stderr, flush=True)
            _say(f"failed: the script raised {one_line(error)}")
        return ExitStatus.USAGE


def _attempt(job: Job, index: int) -> int:
    config = job.config
    batch, frozen = _find(job, index)
    dataset = open_datasets(job)[batch.dataset]
    dataset.thaw(frozen)
    items = "" if batch.items == UNKNOWN else f", {batch.items} items"
    source = f" of input {job.inputs[batch.dataset].name!r}{items}" if job.inputs else ""
    _say(f"mini-batch {index}{source}; working directory {os.getcwd()}")
    script = entry.load(Path(config.source_directory), config.entry_script, _arguments(job))
    began = time.monotonic()
    if script.init is not None:
        script.init()
    loading = time.monotonic()
    loaded = dataset.load(batch.payload)
    running = time.monotonic()
    returned = _run(job, script, batch, loaded)
    took = time.monotonic() - running
    encoded = open_encoder(config.append_row_file_name, config.append_row_format, config.output_action).encode(returned)
    if script.shutdown is not None:
        script.shutdown()
    sys.stdout.flush()
    _show(job, encoded)
    _say(f"{encoded.rows} rows for {loaded.items} items; init {loading - began:.2f} s, run {took:.2f} s")
    if job.inputs and encoded.rows < loaded.items:
        _say(f"{loaded.items - encoded.rows} rows are missing: in a run as many items would count as failed")
    if took > config.run_invocation_timeout:
        _say(f"a run would have ended it: run_invocation_timeout is {config.run_invocation_timeout:g} s")
    return ExitStatus.COMPLETE


def _arguments(job: Job) -> tuple[str, ...]:
    """Of the script: side inputs that a run would copy to the node are used where they are."""
    return substituted(job.arguments, {side.name: side.path for side in job.side_inputs})


def _run(job: Job, script: EntryScript, batch: MiniBatch, loaded: Loaded) -> Any:
    if script.wants_context:
        return script.run(loaded.value, context_of(batch, [input.name for input in job.inputs] or [""]))
    return script.run(loaded.value)


def _find(job: Job, index: int) -> tuple[MiniBatch, bytes]:
    """The mini-batch, and what its dataset found out about the input. Raises UsageError where there is none."""
    from mpibatch.runs.plan import Plan  # after the environment is set: it loads NumPy

    plan = Plan.build(open_datasets(job), map)
    if not 0 <= index < plan.total:
        there_are = f"there are {plan.total}, from 0 to {plan.total - 1}" if plan.total else "the job has none at all"
        raise UsageError(f"no mini-batch {index}: {there_are}")
    batch = plan.mini_batch(index)
    return batch, plan.frozen[batch.dataset]


def _show(job: Job, encoded: Encoded) -> None:
    """The rows as the job's output file would begin with them."""
    config = job.config
    if config.output_action is OutputAction.SUMMARY_ONLY or not encoded.data:
        return
    writer = open_writer(config.append_row_file_name, config.append_row_format)
    if isinstance(writer, Stream):
        sys.stdout.buffer.write(writer.begin(encoded.schema) + encoded.data)
        sys.stdout.buffer.flush()
    else:
        _show_table(writer, encoded)


def _show_table(writer: Finalizer, encoded: Encoded) -> None:
    """A binary file as the table that is in it."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        writer.finalize(path, encoded.schema, [(encoded.schema, encoded.data)])
        print(pq.read_table(path, use_threads=False, pre_buffer=False).to_pandas().to_string(), flush=True)


def _become_executor(job: Job, directory: RunDirectory) -> None:
    """As the executor of the first rank that a plain run on this machine would start. Raises UsageError."""
    config = job.config
    placement = node_places(config, wanted_ranks(config, os.environ).per_node, os.environ)[0]
    seat = Seat(0, 0, os.uname().nodename, placement)
    environment = environment_of(job, directory, seat, os.environ)
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, placement.cores)
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of the command or of the shell; executors have neither
    os.chdir(config.source_directory)
    faulthandler.enable()
    logging.basicConfig(level=config.logging_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


@contextlib.contextmanager
def _scratch() -> Iterator[RunDirectory]:
    """A place for what the script writes to MPIBATCH_OUTPUT_DIR; it stays if there is anything in it."""
    directory = RunDirectory(Path(tempfile.mkdtemp(prefix="mpibatch-debug-")))
    directory.output_files.mkdir(parents=True)
    try:
        yield directory
    finally:
        if any(directory.output_files.iterdir()):
            _say(f"the script's own files are in {directory.output_files}")
        else:
            for folder in (directory.output_files, directory.outputs, directory.path):
                folder.rmdir()


def _say(text: str) -> None:
    print(f"mpibatch: {text}", file=sys.stderr, flush=True)
