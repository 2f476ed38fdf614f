"""A worker with a real executor under a real supervisor, driven without MPI."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

import mpibatch
from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import AttemptOutcome, Failure, decode_failures
from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input, Job, RunConfig
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_datasets
from mpibatch.datasets.state_file import write_states
from mpibatch.output import open_encoder
from mpibatch.placement.assign import Placement
from mpibatch.runs.directory import create_at
from mpibatch.types import MiniBatchRange, Phase
from mpibatch.worker.messages import ExecuteTasks, Report, Results, Shutdown, WorkerExited
from mpibatch.worker.settings import WorkerSettings
from mpibatch.worker.spawn import RankInfo, executor_factory
from mpibatch.worker.watchdog import PhaseTimeouts
from mpibatch.worker.worker import Worker
from tests.payloads import files_payload
from tests.processes import MARK, marked, none_left

R = TypeVar("R")

SCRIPT_HEAD = """
import ctypes, json, os, signal, subprocess, sys, threading, time
from pathlib import Path

def names(mini_batch):
    return [os.path.basename(path) for path in mini_batch]
"""


@dataclass(frozen=True)
class Attempt:
    """One ATTEMPT record, with what belongs to it."""

    index: int
    items: int
    succeeded: int
    cause: AttemptOutcome
    tries: int
    flags: int
    seconds: float
    memory: int
    rows: str
    failures: list[Failure]


class SandboxedExecutor:
    """The worker of rank 0 with `script` (after SCRIPT_HEAD) as entry script; files are names below /data.

    A context manager: on the way out the worker is killed, and nothing of it may be left.
    """

    def __init__(self, folder: Path, script: str, timeouts: PhaseTimeouts | None = None, **config: Any) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        (folder / "score.py").write_text(SCRIPT_HEAD + dedent(script))
        self.timeouts = timeouts or PhaseTimeouts(init=20, load=20, run=20, shutdown=20)
        values: dict[str, Any] = {"entry_script": "score.py", **config}
        values["environment_variables"] = {MARK: self.mark, **values.get("environment_variables", {})}
        values["run_invocation_timeout"] = self.timeouts.run
        job = Job(
            file=str(folder / "job.yaml"),
            name="sandboxed",
            inputs=(Input("names", InputType.FILES, ("/data",)),),
            side_inputs=(),
            arguments=values.pop("arguments", ()),
            output=str(folder / "runs"),
            allow_reuse=False,
            parameters={},
            config=RunConfig(source_directory=str(folder), mini_batch_size=Size(10, Unit.ITEMS), **values),
        )
        self.directory = create_at(folder / "run")
        write_states(self.directory.dataset_states, open_datasets(job))
        rank_info = RankInfo(0, 0, "here", Placement((), None, (), 1))
        # the executor is to import the mpibatch that is tested, wherever another one is installed
        inherited = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(mpibatch.__file__).parents[1])}
        self.start = executor_factory(job, self.directory, rank_info, inherited)
        self.settings = replace(WorkerSettings.from_config(job.config, 0, "here"), timeouts=self.timeouts)
        encoder = open_encoder(job.config.append_row_file_name, job.config.append_row_format)
        self.reports: list[Report] = []
        self.attempts: list[Attempt] = []
        self.worker = Worker(self.settings, self.start, encoder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.worker.kill()
        none_left(self.mark)

    # -- orders

    def run(
        self, *lists: Sequence[str], first: int = 0, tries: int = 1, packet_size: int = 1, isolate_items: int = 0
    ) -> None:
        """A mini-batch for each list of names; `packet_size` of them may go to the executor at once."""
        count = len(lists)
        payload = [files_payload(names) for names in lists]
        items = [len(names) for names in lists]
        batches = MiniBatchRange(first, [0] * count, [0] * count, items, [""] * count, payload)
        self.worker.handle(ExecuteTasks(batches, tries, packet_size, isolate_items))

    def shutdown(self) -> None:
        """Waits for the script's shutdown() and the executor's end."""
        self.worker.handle(Shutdown(kill=False))
        self.until(lambda: self.of(WorkerExited))

    # -- reports

    def poll(self) -> None:
        for report in self.worker.poll():
            self.reports.append(report)
            if isinstance(report, Results):
                self.attempts += _attempts(report)

    def until(self, condition: Callable[[], R], seconds: float = 60.0) -> R:
        """Polls until `condition` is true."""
        end = time.monotonic() + seconds
        while not (met := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s; {self.reports}\nstderr: {self.stderr()}")
            self.poll()
            time.sleep(0.002)
        return met

    def until_running(self, index: int) -> None:
        """Polls until the executor is in run() of this mini-batch."""
        executor, at = self.worker._executor, (index, Phase.RUN)
        assert executor is not None
        self.until(lambda: (status := executor.status_block.read()) is not None and (status.index, status.phase) == at)

    def ended(self, count: int, seconds: float = 60.0) -> list[Attempt]:
        """The attempts once there are `count`, in order of index."""
        self.until(lambda: len(self.attempts) >= count, seconds)
        return sorted(self.attempts, key=lambda attempt: attempt.index)

    def of(self, kind: type[R]) -> list[R]:
        return [report for report in self.reports if isinstance(report, kind)]

    # -- what it left

    def stderr(self) -> str:
        return self._text("user/stderr")

    def stdout(self) -> str:
        return self._text("user/stdout")

    def _text(self, stream: str) -> str:
        path = self.directory.rank_log(stream, "here", 0)
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self) -> list[int]:
        return list(marked(self.mark))

    def note(self, name: str) -> list[str]:
        """Lines that the script has written to a file of this name in its folder."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def _attempts(report: Results) -> list[Attempt]:
    attempts, at = [], 0
    for record in np.frombuffer(report.records, dtype=ATTEMPT_DTYPE):
        rows, failure = int(record["row_bytes"]), int(record["failure_bytes"])
        data = report.data[at : at + rows + failure]
        at += rows + failure
        attempts.append(
            Attempt(
                index=int(record["index"]),
                items=int(record["items"]),
                succeeded=int(record["succeeded"]),
                cause=AttemptOutcome(int(record["cause"])),
                tries=int(record["tries"]),
                flags=int(record["flags"]),
                seconds=float(record["load"] + record["run"] + record["encode"]),
                memory=int(record["memory"]),
                rows=bytes(data[:rows]).decode(),
                failures=decode_failures(data[rows:]),
            )
        )
    return attempts


def quick(**timeouts: float) -> PhaseTimeouts:
    """Limits of 20 s but for those given."""
    return replace(PhaseTimeouts(20, 20, 20, 20), **timeouts)
