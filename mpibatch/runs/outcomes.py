"""What has become final and where its bytes are in the results log: NumPy arrays, about 34 bytes a mini-batch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempts import Failure, decode_failures
from mpibatch.runs.log_reader import LogReader

OUTCOME_DTYPE = np.dtype(
    [
        ("final", "?"),
        ("rejected", "?"),  # its rows did not fit the file's schema
        ("log", "<u2"),  # which log file, for runs of several epochs
        ("flags", "u1"),  # of the attempt
        ("schema", "<u4"),
        ("items", "<i4"),
        ("succeeded", "<i4"),
        ("failure_bytes", "<u4"),
        ("row_bytes", "<i8"),
        ("offset", "<i8"),  # of the row bytes in the log; the failure bytes follow
    ]
)


@dataclass(slots=True)
class OutcomeTable:
    """One entry per mini-batch of the plan."""

    table: NDArray[np.void]

    @staticmethod
    def empty(total: int) -> "OutcomeTable":
        return OutcomeTable(np.zeros(total, dtype=OUTCOME_DTYPE))

    def accept(self, records: NDArray[np.void], log: int, body: int) -> None:
        """Enters the ATTEMPT records of one RESULTS record whose body begins at `body` in log number `log`."""
        lengths = records["row_bytes"] + records["failure_bytes"]
        entries = np.zeros(len(records), dtype=OUTCOME_DTYPE)
        for field in ("flags", "schema", "items", "succeeded", "failure_bytes", "row_bytes"):
            entries[field] = records[field]
        entries["final"] = True
        entries["log"] = log
        entries["offset"] = body + records.nbytes + np.cumsum(lengths) - lengths
        self.table[records["index"]] = entries

    def read_failures(self, index: int, logs: LogReader) -> list[Failure]:
        """Why items of a mini-batch failed. Raises RunDirectoryError, OSError."""
        entry = self.table[index]
        start = int(entry["offset"] + entry["row_bytes"])
        return decode_failures(logs.read(int(entry["log"]), start, int(entry["failure_bytes"])))

    def ready_from(self, frontier: int, at_most: int) -> int:
        """The end of the final mini-batches that begin at `frontier`, looking at `at_most`."""
        final = self.table["final"][frontier : frontier + at_most]
        return frontier + (len(final) if final.all() else int(np.argmin(final)))
