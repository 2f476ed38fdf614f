"""What a worker has to report: attempts are gathered into one message, and every other report keeps its place.

add_attempt, add_attempt, append(report), add_attempt --take--> [Results(2), report, Results(1)]

A large attempt is a message of its own.
"""

from mpibatch.large import LARGE_BYTES, RowData
from mpibatch.worker.messages import Report, Results


class ReportBuffer:
    """Reports in the order in which they came to be."""

    def __init__(self) -> None:
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
