"""A mini-batch that is run in parts, and the one outcome that the parts add up to.

Bisection (pure: which part next) --> Task per part --> rows or failures of each --> one ATTEMPT, rows in item order
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from mpibatch import attempts
from mpibatch.attempts import AttemptOutcome, Failure, Flag, decode_failures, encode_failures
from mpibatch.executor.protocol import Task
from mpibatch.executor.status_block import ExecutorStatus
from mpibatch.output.base import Encoded, Encoder, InvalidReturn
from mpibatch.scheduling.bisection import Bisection, ItemRange
from mpibatch.types import MiniBatch


@dataclass(slots=True)
class IsolationRun:
    """One mini-batch under isolation."""

    mini_batch: MiniBatch
    tries: int
    items: int
    rank: int
    host: str
    started: float  # seconds since the epoch
    _bisection: Bisection[Encoded] = field(init=False)
    _failures: list[Failure] = field(default_factory=list)
    _current: ItemRange | None = None
    _located: list[dict[str, Any]] | None = None  # items of the current part, as the executor names them
    _seconds: float = 0.0
    _succeeded: int = 0
    _cause: AttemptOutcome = AttemptOutcome.USER_ERROR

    def __post_init__(self) -> None:
        self._bisection = Bisection(self.items)

    def next_task(self) -> Task | None:
        """The next part as a task; None when all have run."""
        self._current, self._located = self._bisection.next_range(), None
        return (
            None
            if self._current is None
            else Task(replace(self.mini_batch, items=self.items), self.tries, self._current.first, self._current.last)
        )

    @property
    def is_done(self) -> bool:
        """Whether no part is left to run."""
        return not self._bisection.waiting

    def is_at(self, status: ExecutorStatus) -> bool:
        """Whether an executor's status block is at the part handed out last."""
        return self._current == ItemRange(status.first, status.last)

    def requeue(self) -> None:
        """The part handed out last was never run, or was cut off by no fault of its own."""
        if self._current is not None:
            self._bisection.requeue(self._current)
            self._current = None

    def on_names(self, names: bytes) -> None:
        """The executor has named the items of the part handed out last."""
        self._located = json.loads(names)

    def on_part_done(
        self, cause: AttemptOutcome, succeeded: int, seconds: float, rows: Encoded, failure: bytes
    ) -> None:
        """The part handed out last has ended."""
        assert self._current is not None
        part, self._current = self._current, None
        self._seconds += seconds
        here: dict[str, Any] = {"lost": list(range(part.first, part.last)), "located": self._located}
        if cause is AttemptOutcome.SUCCEEDED:
            self._bisection.succeeded(part, rows)
            self._succeeded += succeeded
            self._failures += [replace(short, **here) for short in decode_failures(failure)]
        elif self._bisection.failed(part):
            self._cause = cause
            self._failures += [replace(lost, **here) for lost in decode_failures(failure)]

    def result(self, encoder: Encoder) -> tuple[bytes, Encoded, bytes]:
        """The ATTEMPT record of the whole, its rows, and its failure bytes."""
        try:
            rows = encoder.join(self._bisection.rows())
        except InvalidReturn as error:
            rows, self._succeeded, self._cause = Encoded(0, b""), 0, AttemptOutcome.WRONG_RETURN
            text = f"mini-batch {self.mini_batch.index}: {error}"
            self._failures = [Failure("wrong_return", text, rank=self.rank, tries=self.tries, host=self.host)]
        failure = encode_failures(self._failures) if self._failures else b""
        schema = attempts.schema_id(rows.schema) if rows.data else 0
        cause = AttemptOutcome.SUCCEEDED if self._succeeded else self._cause
        record = attempts.pack(
            index=self.mini_batch.index,
            items=self.items,
            succeeded=self._succeeded,
            row_bytes=len(rows.data),
            failure_bytes=len(failure),
            schema=schema,
            rank=self.rank,
            cause=cause,
            tries=self.tries,
            flags=Flag.ISOLATED,
            started=self.started,
            run=self._seconds,
        )
        return record, rows, failure
