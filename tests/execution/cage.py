"""A worker with a real executor under a real guardian, driven without MPI."""

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
from mpibatch.config.schema import Input, InputType, Job, ParallelRunConfig, Size, Unit
from mpibatch.execution.furnish import Seat, starter
from mpibatch.execution.messages import Gone, Leave, Report, Results, Run
from mpibatch.execution.watchdog import TimeLimits
from mpibatch.execution.worker import Worker, WorkerSettings
from mpibatch.output import open_encoder
from mpibatch.placement.place import Placement
from mpibatch.runs.directory import create_at
from mpibatch.runs.outcomes import ATTEMPT_DTYPE
from mpibatch.types import Cause, Failure, MiniBatches, decode_failures
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
    cause: Cause
    tries: int
    flags: int
    seconds: float
    rows: str
    failures: list[Failure]


class Cage:
    """The worker of rank 0 with `script` (after SCRIPT_HEAD) as entry script; files are names below /data.

    A context manager: on the way out the worker is killed, and nothing of it may be left.
    """

    def __init__(self, folder: Path, script: str, limits: TimeLimits | None = None, **config: Any) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        (folder / "score.py").write_text(SCRIPT_HEAD + dedent(script))
        self.limits = limits or TimeLimits(init=20, load=20, run=20, shutdown=20)
        values: dict[str, Any] = {"entry_script": "score.py", **config}
        values["environment_variables"] = {MARK: self.mark, **values.get("environment_variables", {})}
        values["run_invocation_timeout"] = self.limits.run
        job = Job(
            file=str(folder / "job.yaml"),
            name="caged",
            inputs=(Input("names", InputType.FILES, ("/data",)),),
            side_inputs=(),
            arguments=values.pop("arguments", ()),
            output=str(folder / "runs"),
            allow_reuse=False,
            parameters={},
            config=ParallelRunConfig(str(folder), mini_batch_size=Size(10, Unit.ITEMS), **values),
        )
        self.directory = create_at(folder / "run")
        seat = Seat(0, 0, "here", Placement(None, None, (), 1))
        # the executor is to import the mpibatch that is tested, wherever another one is installed
        inherited = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(mpibatch.__file__).parents[1])}
        self.start = starter(job, (b"",), self.directory, seat, inherited)
        settings = WorkerSettings(0, "here", self.limits, job.config.max_mini_batches_per_executor)
        encoder = open_encoder(job.config.append_row_file_name, job.config.append_row_format)
        self.reports: list[Report] = []
        self.attempts: list[Attempt] = []
        self.worker = Worker(settings, self.start, encoder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.worker.kill()
        none_left(self.mark)

    # -- orders

    def run(self, *lists: Sequence[str], first: int = 0, tries: int = 1, group: int = 1, isolate: int = 0) -> None:
        """A mini-batch for each list of names; `group` of them may go to the executor at once."""
        count = len(lists)
        payload = ["\0".join(names).encode() for names in lists]
        items = [len(names) for names in lists]
        batches = MiniBatches(first, [0] * count, [0] * count, items, [""] * count, payload)
<<<<<<< HEAD
        self.worker.handle(Run(batches, tries, isolate=isolate))
=======
        self.worker.handle(Run(batches, tries, group, isolate))
>>>>>>> main

    def leave(self) -> None:
        """Waits for the script's shutdown() and the executor's end."""
        self.worker.handle(Leave(at_once=False))
        self.until(lambda: self.of(Gone))

    # -- reports

    def poll(self) -> None:
        for report in self.worker.poll():
            self.reports.append(report)
            if isinstance(report, Results):
                self.attempts += _attempts(report)

    def until(self, condition: Callable[[], R], seconds: float = 20.0) -> R:
        """Polls until `condition` is true."""
        end = time.monotonic() + seconds
        while not (met := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s; {self.reports}\nstderr: {self.stderr()}")
            self.poll()
            time.sleep(0.002)
        return met

    def ended(self, count: int, seconds: float = 20.0) -> list[Attempt]:
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
                cause=Cause(int(record["cause"])),
                tries=int(record["tries"]),
                flags=int(record["flags"]),
                seconds=float(record["load"] + record["run"] + record["encode"]),
                rows=data[:rows].decode(),
                failures=decode_failures(data[rows:]),
            )
        )
    return attempts


def quick(**limits: float) -> TimeLimits:
    """Limits of 20 s but for those given."""
    return replace(TimeLimits(20, 20, 20, 20), **limits)
