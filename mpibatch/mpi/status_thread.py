"""status.json, written beside the loop that schedules.

loop --put--> the latest --thread--> status.json
"""

import queue
import threading
from contextlib import suppress

from mpibatch.errors import RunDirectoryError
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.summary import Summary


class StatusThread:
    """Writes where a run stands; of several that came meanwhile the latest."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._waiting: queue.SimpleQueue[Summary | None] = queue.SimpleQueue()
        self._error: RunDirectoryError | None = None
        self._thread: threading.Thread | None = None

    def put(self, summary: Summary) -> None:
        """It is written soon. Raises RunDirectoryError where an earlier one could not be written."""
        if self._error is not None:
            raise self._error
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="mpibatch-status", daemon=True)
            self._thread.start()
        self._waiting.put(summary)

    def stop(self) -> None:
        """Writes nothing any more."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _write(self) -> None:
        while (summary := self._waiting.get()) is not None:
            with suppress(queue.Empty):
                while True:
                    newer = self._waiting.get_nowait()
                    if newer is None:
                        return
                    summary = newer
            try:
                summary.write_status(self._directory)
            except RunDirectoryError as error:
                self._error = error
