"""A mini-batch that is run in parts, and the one outcome that the parts add up to.

Isolation (pure: which part next) --> Task per part --> rows or failures of each --> one ATTEMPT, rows in item order
"""

import zlib
from dataclasses import dataclass, field, replace

from mpibatch.execution.protocol import Task
from mpibatch.execution.slot import Reading
from mpibatch.output.base import Encoded, Encoder, WrongReturn
from mpibatch.scheduling.isolation import Isolation, Part
from mpibatch.types import ATTEMPT, Cause, Failure, Flag, MiniBatch, decode_failures, encode_failures


@dataclass(slots=True)
class Parts:
    """One mini-batch under isolation."""

    mini_batch: MiniBatch
    tries: int
    items: int
    rank: int
    host: str
    started: float  # seconds since the epoch
    _isolation: Isolation[Encoded] = field(init=False)
    _failures: list[Failure] = field(default_factory=list)
    _now: Part | None = None
    _seconds: float = 0.0
    _succeeded: int = 0
    _cause: Cause = Cause.USER_ERROR

    def __post_init__(self) -> None:
        self._isolation = Isolation(self.items)

    def next(self) -> Task | None:
        """The next part as a task; None when all have run."""
        self._now = self._isolation.next()
        return None if self._now is None else Task(self.mini_batch, self.tries, self._now.first, self._now.last)

    def is_at(self, reading: Reading) -> bool:
        """Whether an executor's slot is at the part handed out last."""
        return self._now == Part(reading.first, reading.last)

    def again(self) -> None:
        """The part handed out last was never run, or was cut off by no fault of its own."""
        if self._now is not None:
            self._isolation.again(self._now)
            self._now = None

    def ended(self, cause: Cause, succeeded: int, seconds: float, rows: Encoded, failure: bytes) -> None:
        """The part handed out last has ended."""
        assert self._now is not None
        part, self._now = self._now, None
        self._seconds += seconds
        positions = list(range(part.first, part.last))
        if cause is Cause.SUCCEEDED:
            self._isolation.succeeded(part, rows)
            self._succeeded += succeeded
            self._failures += [replace(short, lost=positions) for short in decode_failures(failure)]
        elif self._isolation.failed(part):
            self._cause = cause
            self._failures += [replace(lost, lost=positions) for lost in decode_failures(failure)]

    def outcome(self, encoder: Encoder) -> tuple[bytes, Encoded, bytes]:
        """The ATTEMPT record of the whole, its rows, and its failure bytes."""
        try:
            rows = encoder.join(self._isolation.rows())
        except WrongReturn as error:
            rows, self._succeeded, self._cause = Encoded(0, b""), 0, Cause.WRONG_RETURN
            text = f"mini-batch {self.mini_batch.index}: {error}"
            self._failures = [Failure("wrong_return", text, rank=self.rank, tries=self.tries, host=self.host)]
        failure = encode_failures(self._failures) if self._failures else b""
        schema = schema_id(rows.schema) if rows.data else 0
        cause = Cause.SUCCEEDED if self._succeeded else self._cause
        record = ATTEMPT.pack(
            self.mini_batch.index, self.items, self._succeeded, len(rows.data), len(failure), schema, self.rank,
            cause, self.tries, Flag.ISOLATED, self.started, 0.0, self._seconds, 0.0,
        )  # fmt: skip
        return record, rows, failure


def schema_id(schema: bytes) -> int:
    """The number that stands for a schema in attempt records: 0 for none."""
    return (zlib.crc32(schema) or 1) if schema else 0
