"""What was measured of a run, read from its directory, also while it goes on.

events.bin or events.parquet --> attempts      one record an attempt (ATTEMPT_FIELDS)
executors.jsonl              --> starts        one an executor: when it was ready, and what init() took
resources/<host>.csv         --> resources     a row every few seconds (worker/resources.py)
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpibatch.arrow import read_parquet, to_numpy
from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import ATTEMPT_FIELDS, AttemptOutcome
from mpibatch.runs.directory import RunDirectory

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExecutorStart:
    """An executor whose init() was done at `ready` (seconds since the epoch), `seconds` after it was started."""

    rank: int
    host: str
    ready: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Measurements:
    """attempts: of ATTEMPT_DTYPE; resources: by host and column, NaN where nothing was measured."""

    attempts: NDArray[np.void]
    starts: tuple[ExecutorStart, ...]
    resources: dict[str, dict[str, Floats]]

    @staticmethod
    def read(directory: RunDirectory) -> "Measurements":
        """What there is: files that are missing, or whose end is just being written, give less."""
        return Measurements(_attempts(directory), _starts(directory.executors), _resources(directory.resources))


def _attempts(directory: RunDirectory) -> NDArray[np.void]:
    table = directory.events.with_suffix(".parquet")
    try:
        if directory.events.exists():
            size = directory.events.stat().st_size // ATTEMPT_DTYPE.itemsize
            records = np.fromfile(directory.events, dtype=ATTEMPT_DTYPE, count=size)
            return records[records["cause"] < len(AttemptOutcome)]
        if table.exists():
            return _from_table(table)
    except OSError:
        pass
    return np.empty(0, dtype=ATTEMPT_DTYPE)


def _from_table(path: Path) -> NDArray[np.void]:
    import pyarrow as pa

    try:
        table = read_parquet(path).combine_chunks()
    except (OSError, pa.ArrowInvalid):
        return np.empty(0, dtype=ATTEMPT_DTYPE)
    records = np.zeros(len(table), dtype=ATTEMPT_DTYPE)
    if not len(table):
        return records
    for name, _ in ATTEMPT_FIELDS:
        if name == "cause":
            causes = table.column(name).chunk(0)
            known = [AttemptOutcome[text.upper()] for text in causes.dictionary.to_pylist()]
            places = to_numpy(causes.indices, np.dtype(causes.indices.type.to_pandas_dtype()).type)
            records[name] = np.array(known, dtype=np.uint8)[places]
        elif name in table.column_names:
            records[name] = to_numpy(table.column(name).chunk(0), records.dtype[name].type)
    return records


def _starts(path: Path) -> tuple[ExecutorStart, ...]:
    found = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return ()
    for line in lines:
        try:
            record = json.loads(line)
            found.append(ExecutorStart(record["rank"], record["host"], record["ready"], record["seconds"]))
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(found)


def _resources(folder: Path) -> dict[str, dict[str, Floats]]:
    found: dict[str, dict[str, Floats]] = {}
    for path in sorted(folder.glob("*.csv")) if folder.is_dir() else ():
        try:
            with path.open(newline="", encoding="utf-8", errors="replace") as file:
                head, *rows = list(csv.reader(file)) or [[]]
            columns = list(zip(*(row for row in rows if len(row) == len(head)), strict=True))
            found[path.stem] = {
                name: np.array([float(cell or "nan") for cell in column], dtype=np.float64)
                for name, column in zip(head, columns, strict=False)
            }
        except (OSError, ValueError):
            continue
    return {host: columns for host, columns in found.items() if "time" in columns}
