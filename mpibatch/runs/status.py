"""summary.json and status.json: the same keys, one written at the end, the other about once a second."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    RUNNING = "running"  # in status.json only
    COMPLETED = "completed"
    ABORTED = "aborted"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class MiniBatchCounts:
    total: int
    succeeded: int
    failed: int
    remaining: int


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """total: UNKNOWN (-1) until rows that only reading tells have been read.

    estimated: of `failed`, those of mini-batches that could not be read and whose plan did not say how many there are:
               counted by a scan that may be off, or, where not even that could be done, as one. 0: all counts are exact
    """

    total: int
    succeeded: int
    failed: int
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class Seconds:
    """processing: from the first grant to the output file closed."""

    total: float
    plan: float
    processing: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run has come to. attempts: by the names of Cause; output: path of the file, None for summary_only."""

    status: State
    reason: str
    mini_batches: MiniBatchCounts
    items: ItemCounts
    attempts: dict[str, int]
    seconds: Seconds
    output: str | None
    ranks: int
    restarts: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
