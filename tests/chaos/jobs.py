"""The jobs that are disturbed: a few hundred short mini-batches each, deterministic, some of them failing."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ITEMS_A_MINI_BATCH = 2

SCRIPT = """
import subprocess, sys, time

def init():
    subprocess.Popen(["sleep", "600"], start_new_session=True)  # a daemon that nobody may find later

def run(mini_batch):
    numbers = [int(path.rsplit("/", 1)[1]) for path in mini_batch]
    time.sleep(numbers[0] % 13 / 1000)
    if numbers[0] % 101 == 0:
        time.sleep(0.3)
    if any(number % 200 == 30 for number in numbers):  # each try of it is the end of an executor
        raise ValueError(f"no good: {numbers}")
    if numbers[0] % 88 == 42:
        numbers = numbers[:1]
    if COLUMNS:
        return [{"number": number, "text": "x" * (number % 150) + ', "quoted"\\n'} for number in numbers]
    return [f"{number} " + "x" * (number % 300) for number in numbers]
"""


@dataclass(frozen=True)
class Shape:
    """One kind of job. spare: kinds of processes that are left alone in it."""

    name: str
    file_name: str = "out.txt"
    mini_batches: int = 300
    settings: tuple[tuple[str, Any], ...] = ()
    spare: frozenset[str] = frozenset()


SHAPES = (
    Shape("text"),
    Shape("csv", "out.csv"),
    Shape("compressed", "out.csv.gz"),
    Shape("jsonl", "out.jsonl"),
    Shape("parquet", "out.parquet"),
    # A part of a mini-batch under isolation is run once: whoever kills its executor then loses the item, as an item
    # that kills its executor is lost. So executors are spared here.
    Shape("isolate", settings=(("isolate_failures", True),), spare=frozenset({"executor", "supervisor"})),
    Shape("recycled", settings=(("max_mini_batches_per_executor", 40),)),
    # So that a backup is due (5 s) before what is stopped is ended, or its rank given up.
    Shape("backups", settings=(("backup_tasks", True), ("run_invocation_timeout", 12), ("rank_timeout", 12))),
)


@dataclass(frozen=True)
class Outcome:
    """What has to be the same with and without disturbance."""

    output: bytes
    failed: tuple[tuple[Any, ...], ...]
    counts: Mapping[str, Any]

    @staticmethod
    def of(run: Path, shape: Shape) -> "Outcome":
        lines = (run / "failed_items.jsonl").read_text(encoding="utf-8").splitlines()
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        counts = {key: summary[key] for key in ("status", "mini_batches", "items")}
        return Outcome((run / "outputs" / shape.file_name).read_bytes(), tuple(map(_essence, lines)), counts)


def _essence(line: str) -> tuple[Any, ...]:
    """Of a failed item: which, and why; not who ran it, and how often."""
    failed = json.loads(line)
    return failed["mini_batch"], failed.get("item"), failed.get("missing"), failed["cause"]


def write(folder: Path, shape: Shape) -> Path:
    """The job file."""
    folder.mkdir(parents=True)
    count = shape.mini_batches * ITEMS_A_MINI_BATCH
    (folder / "paths.txt").write_text("".join(f"/data/{number}\n" for number in range(count)))
    (folder / "score.py").write_text(SCRIPT.replace("COLUMNS", str(shape.file_name != "out.txt")))
    settings = {
        "entry_script": "score.py",
        "mini_batch_size": ITEMS_A_MINI_BATCH,
        "append_row_file_name": shape.file_name,
        "error_threshold": -1,
        "run_max_try": 6,  # a kill costs the mini-batch that runs a try
        "run_invocation_timeout": 4,
        "load_timeout": 6,
        "init_timeout": 10,
        "rank_timeout": 8,
        "grace": 5,
        **dict(shape.settings),
    }
    job = {
        "name": "chaos",
        "inputs": {"numbers": {"type": "files", "path": {"manifest": "paths.txt"}}},
        "parallel_run_config": settings,
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(job))
    return path


def mpibatch(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mpibatch", *map(str, arguments)]
