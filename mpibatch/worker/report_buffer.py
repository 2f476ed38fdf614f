"""What a worker has to report: attempts are gathered into one message, and every other report keeps its place.

add_attempt, add_attempt, append(report), add_attempt --take--> [Results(2), report, Results(1)]

A large attempt is a message of its own.
"""

from collections.abc import Sequence

from mpibatch.executor.protocol import Task
from mpibatch.large import LARGE_BYTES, RowData
from mpibatch.worker.messages import NewSchema, Report, Results, TasksReturned


class ReportBuffer:
    """Reports in the order in which they came to be."""

    def __init__(self) -> None:
        self.schemas: dict[int, bytes] = {0: b""}  # all that were reported, by their ids
        self._reports: list[Report] = []
        self._records: list[bytes] = []
        self._data: list[RowData] = []

    def add_attempt(self, record: bytes, data: RowData) -> None:
        """record: an ATTEMPT record; data: its row bytes and failure bytes."""
        if len(data) > LARGE_BYTES:
            self.append(Results(record, memoryview(data)))
            return
        self._records.append(record)
        self._data.append(data)

    def add_schema(self, id: int, schema: bytes) -> None:
        """Before the first record that has its id; nothing where it was reported before."""
        if id not in self.schemas:
            self.schemas[id] = schema
            self.append(NewSchema(id, schema))

    def add_returned(self, tasks: Sequence[Task], recalled: bool) -> None:
        """What is given back; recalled: in answer to an order, and maybe nothing."""
        if tasks or recalled:
            self.append(TasksReturned([task.mini_batch.index for task in tasks], recalled))

    def append(self, report: Report) -> None:
        """A report about anything else."""
        self._flush()
        self._reports.append(report)

    def take(self) -> list[Report]:
        """Everything since the last call."""
        self._flush()
        reports, self._reports = self._reports, []
        return reports

    def _flush(self) -> None:
        if self._records:
            self._reports.append(Results(b"".join(self._records), b"".join(self._data)))
            self._records, self._data = [], []
