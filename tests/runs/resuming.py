"""A run without MPI and executors: Scheduler, Recorder and Assembly driven as rank 0 does, with results made up.

What mini-batch i gives is a function of i alone, as with a deterministic script: rows, failures of all kinds, and for
formats with columns some that do not fit.
"""

import contextlib
import random
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import AttemptOutcome, Failure, encode_failures
from mpibatch.config.schema import RowFormat
from mpibatch.errors import RunDirectoryError
from mpibatch.liveness.lease import Lease, acquire
from mpibatch.output import columnar, open_encoder, open_format
from mpibatch.planning.plan import Plan
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.recovery import RecoveredRun, recover
from mpibatch.runs.run_writer import RunWriter
from mpibatch.scheduling.actions import Action, Finish, Grant
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.scheduling.thresholds import OutcomeCounts
from mpibatch.types import Split
from tests.payloads import files_payload
from tests.planning.test_plan import Listed
from tests.runs.full_disk import FullDisk
from tests.scheduling.policies import policy_with

APPENDED = ["out.txt", "out.csv", "out.csv.gz", "out.jsonl.zst"]
FORMATS = [*APPENDED, "out.parquet"]
ROW_GROUP = 7  # rows: some of the groups end within a mini-batch


@dataclass(frozen=True)
class Result:
    """What is left of a run: the bytes of its files, the scheduler's counts."""

    output: bytes
    failed_items: bytes
    tally: OutcomeCounts


@dataclass
class Unattended:
    """A run directory with `total` mini-batches to do, begun and gone on with by `work`."""

    folder: Path
    file_name: str
    total: int = 40
    seed: int = 0
    directory: RunDirectory = field(init=False)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory = create_at(self.folder)
        self.output = self.directory.outputs / self.file_name
        self.random = random.Random(self.seed)
        self.encoder = open_encoder(self.file_name, RowFormat())
        names = ["\0".join(f"{index}_{item}" for item in range(items_of(index))) for index in range(self.total)]
        slices = [Split(files_payload(text.split("\0")), items_of(index)) for index, text in enumerate(names)]
        self.datasets = [Listed(slices)]

    def recover(self) -> RecoveredRun:
        if self.directory.is_planned:
            return recover(self.directory)
        plan = Plan.build(self.datasets, map)
        plan.write(self.directory.plan)
        return RecoveredRun.fresh(plan)

    def work(
        self,
        stop_after: int | None = None,
        checkpoints: float = 0.2,
        close: bool = True,
        full: FullDisk | None = None,
    ) -> Result:
        """One incarnation, to its end or until `stop_after` outcomes of its own.

        close: it ends in order; full: after an error, which it raises, there is room for the last checkpoint
        """
        lease = acquire(self.directory.path)
        try:
            with patch.object(columnar, "ROW_GROUP", ROW_GROUP):
                return self._incarnation(lease, stop_after, checkpoints, close, full)
        finally:
            lease.release()

    def _incarnation(
        self, lease: Lease, stop_after: int | None, checkpoints: float, close: bool, full: FullDisk | None
    ) -> Result:
        recovered = self.recover()
        format = open_format(self.file_name, RowFormat())
        writer = RunWriter(self.directory, recovered, self.datasets, format, self.output, lease)
        self.warnings = recovered.warnings
        policy = policy_with(run_max_try=1, error_threshold=-1)
        scheduler = Scheduler(self.total, policy, recovered.outcomes.table)
        try:
            self._loop(writer, scheduler, stop_after, checkpoints)
        except RunDirectoryError:
            if full is not None:
                full.free(self.random.choice([0, 100, 1 << 20]))
            writer.close(keep=True)
            raise
        if close:
            writer.close(keep=True)
        else:
            with contextlib.suppress(RunDirectoryError):
                writer.assembly.await_group()  # its thread would live on
        output = self.output.read_bytes() if self.output.exists() else b""
        return Result(output, self.directory.failed_items.read_bytes(), scheduler.tally)

    def _loop(self, writer: RunWriter, scheduler: Scheduler, stop_after: int | None, checkpoints: float) -> None:
        granted: list[int] = []
        done = 0

        def act(actions: list[Action]) -> bool:
            for action in actions:
                if isinstance(action, Grant):
                    granted.extend(range(action.first, action.first + action.count))
            return any(isinstance(action, Finish) for action in actions)

        over = act(scheduler.start()) or act(scheduler.on_worker_ready(0)) or act(scheduler.on_worker_ready(1))
        while not over and (stop_after is None or done < stop_after):
            self.random.shuffle(granted)
            size = self.random.randint(1, 6)
            group, granted[:] = granted[:size], granted[size:]
            for rank in (0, 1):
                assigned = set(scheduler.assigned_to(rank))
                over |= act(self.arrive(writer, scheduler, rank, [index for index in group if index in assigned]))
            done += len(group)
            if self.random.random() < 0.5:
                self.assemble(writer, scheduler, more=False)
            if self.random.random() < checkpoints:
                writer.checkpoint()
        if over:
            self.assemble(writer, scheduler, more=True)
            writer.finish()

    def assemble(self, writer: RunWriter, scheduler: Scheduler, more: bool) -> None:
        while True:
            left, rejected = writer.assemble()
            for one in rejected:
                scheduler.on_rows_rejected(one.items)
            if not (left and more):
                return

    def arrive(self, writer: RunWriter, scheduler: Scheduler, rank: int, indices: list[int]) -> list[Action]:
        records = np.zeros(len(indices), dtype=ATTEMPT_DTYPE)
        data = b""
        for record, index in zip(records, indices, strict=True):
            encoded = self.encoder.encode(self.rows_of(index))
            failures = failures_of(index)
            schema = (zlib.crc32(encoded.schema) or 1) if encoded.data else 0
            if schema:
                writer.add_schema(schema, encoded.schema)
            values: dict[str, Any] = {
                "index": index,
                "items": items_of(index),
                "succeeded": encoded.rows,
                "row_bytes": len(encoded.data),
                "failure_bytes": len(failures),
                "schema": schema,
                "cause": AttemptOutcome.SUCCEEDED if encoded.rows else AttemptOutcome.USER_ERROR,
                "tries": 1,
            }
            for name, value in values.items():
                record[name] = value
            data += encoded.data + failures
        writer.record_attempts(records, data)
        final, actions = scheduler.on_attempts(records, rank)
        writer.append_final(records, data, final)
        return actions

    def rows_of(self, index: int) -> list[Any]:
        return rows_of(index, self.file_name)

    def logs(self) -> list[Path]:
        return list(self.directory.results_logs().values())


def items_of(index: int) -> int:
    return 1 + index % 3


def succeeded_of(index: int) -> int:
    """All, none, or one less than all."""
    if index % 5 == 4:
        return 0
    return items_of(index) - (index % 7 == 3)


def rows_of(index: int, file_name: str) -> list[Any]:
    """For formats with columns: a number or none, odd text; now and then a column with a name of its own."""
    rows = range(succeeded_of(index))
    if file_name.endswith(".txt"):
        return [f"mini-batch {index}, row {row}" for row in rows]
    name = "other" if index % 11 == 10 else "text"
    return [{"number": index * 10 + row if index % 6 else None, name: f'a "quoted", {row}\nßtext'} for row in rows]


def failures_of(index: int) -> bytes:
    missing = items_of(index) - succeeded_of(index)
    if not missing:
        return b""
    if not succeeded_of(index):
        return encode_failures([Failure("user_error", f"ValueError: {index}", "Traceback ...", rank=1, tries=1)])
    return encode_failures([Failure("wrong_return", "short", missing=missing, rank=1, tries=1)])
