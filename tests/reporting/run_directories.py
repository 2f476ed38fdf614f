"""Run directories as a run would have left them, made without one."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import AttemptOutcome
from mpibatch.config.schema import Job, RunConfig
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.failure_kinds import FailureKind
from mpibatch.runs.run_record import RankRecord, RunRecord
from mpibatch.runs.summary import ItemCounts, MiniBatchCounts, Summary
from tests.runs.records import ended_run

HOSTILE = '<script>alert("x")</script>\x1b[31m\x07</pre>\u202e{{ 7*7 }}\udcff'
TRACEBACK = f'Traceback (most recent call last):\n  File "/x/score.py", line 12, in run\nValueError: {HOSTILE}\n'
BEGAN = 1_700_000_000.0


def make_run(
    path: Path, status: str = "completed", mini_batches: int = 200, ranks: int = 4, failed: int = 3, **changes: Any
) -> RunDirectory:
    """A run of short mini-batches of ten items, the first few of which failed with hostile texts."""
    directory = create_at(path)
    job = Job(name="made", config=RunConfig(entry_script="score.py"), file=str(path / "job.yaml"))
    record = RunRecord.new(job, ["mpibatch", "run", HOSTILE.encode("utf-8", "replace").decode()])
    records = tuple(RankRecord(f"node{rank // 2}", rank % 2, None, "") for rank in range(ranks))
    RunRecord(job, record.command, record.created, record.user, record.versions, "Open MPI", records).write(directory)
    write_attempts(directory, mini_batches, ranks, failed)
    with directory.executors.open("w") as file:
        for rank in range(ranks):
            host = f"node{rank // 2}"
            file.write(json.dumps({"rank": rank, "host": host, "ready": BEGAN + 1, "seconds": 1.0}) + "\n")
    directory.resources.mkdir()
    head = "time,cpu_percent,memory_bytes,memory_total_bytes,gpu_percent,gpu_memory_bytes,gpu_memory_total_bytes\n"
    rows = "".join(f"{BEGAN + second},{10 * second % 100},5000,10000,20.0,1,4\n" for second in range(10))
    (directory.resources / "node0.csv").write_text(head + rows)
    with directory.failed_items.open("w") as file:
        for number in range(failed):
            line = {
                "item": f"/data/{HOSTILE}{number}", "mini_batch": number, "cause": "user_error",
                "error": f"ValueError: {HOSTILE}", "traceback": TRACEBACK, "tries": 3, "rank": 1, "host": "node0",
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")
    summary(directory, status, mini_batches, ranks=ranks, failed=failed, **changes)
    return directory


def write_attempts(directory: RunDirectory, mini_batches: int, ranks: int, failed: int) -> None:
    """events.bin of attempts of about 20 ms, the last of which took a second."""
    attempts = np.zeros(mini_batches, dtype=ATTEMPT_DTYPE)
    index = np.arange(mini_batches)
    attempts["index"], attempts["items"], attempts["succeeded"] = index, 10, 10
    attempts["rank"], attempts["tries"] = index % ranks, 1
    attempts["started"] = BEGAN + 1 + index // ranks * 0.025
    attempts["load"], attempts["run"], attempts["encode"] = 0.001, 0.02, 0.002
    attempts["run"][-1:] = 1.0
    attempts["cause"][:failed] = AttemptOutcome.USER_ERROR
    attempts["succeeded"][:failed] = 0
    attempts.tofile(directory.events)


def summary(
    directory: RunDirectory, status: str, mini_batches: int, *, ranks: int = 4, failed: int = 3, **changes: Any
) -> Summary:
    """Written as status.json; and as summary.json, unless the run goes on."""
    text = HOSTILE.encode("utf-8", "backslashreplace").decode()
    kind = FailureKind("user_error", f"ValueError: {text}", "score.py:12 in run", failed, "", 0, text, 1, "node0")
    made = ended_run(
        status,
        mini_batches=MiniBatchCounts(mini_batches, mini_batches - failed, failed, 0),
        items=ItemCounts(10 * mini_batches, 10 * (mini_batches - failed), 10 * failed),
        ranks=ranks,
        started=BEGAN,
        updated=time.time() if status == "running" else BEGAN + 10,
        failures=(kind,) if failed else (),
        **changes,
    )
    made.write_status(directory)
    if status != "running":
        made.write(directory)
    return made
