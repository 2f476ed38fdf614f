"""Progress on the terminal of `run` and `resume`, from status.json, in a thread of the launcher.

    rank 0 --status.json, about once a second--> Progress (a thread here) --> bar, lines or JSON
    ranks, mpirun --stdout, stderr--> pipe --> lines above the bar        (only where there is a bar)

The ranks know nothing of it, and nothing of it runs in them.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections import deque
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Self, TextIO

from mpibatch.errors import MpibatchError
from mpibatch.reporting import text
from mpibatch.reporting.console import Console
from mpibatch.reporting.intervals import GrowingInterval
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.resume import RunContext
from mpibatch.runs.summary import Summary

if TYPE_CHECKING:
    from mpibatch.reporting.bar import Bar

POLL_SECONDS = 0.5
REPORT_SECONDS = 30.0
REPORT_SHARE = 0.01  # of the time, at most, goes to live reports: a large run's is made less often
RATE_SECONDS = 10.0  # the rate shown is that of the last so many


class ProgressMode(StrEnum):
    """auto: a bar on a terminal, lines elsewhere."""

    AUTO = "auto"
    BAR = "bar"
    LINES = "lines"
    JSON = "json"
    NONE = "none"


class RecentRate:
    """Items a second over the last RATE_SECONDS."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, summary: Summary) -> float | None:
        """None where two states have not been seen yet."""
        done = summary.items.succeeded + summary.items.failed
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()  # another incarnation
        if not self._seen or summary.updated > self._seen[-1][0]:
            self._seen.append((summary.updated, done))
        while len(self._seen) > 2 and self._seen[1][0] < summary.updated - RATE_SECONDS:
            self._seen.popleft()
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return (now - before) / (last - first) if last > first else None


class Progress:
    """Shows one run while it goes on, and how it ended.

    mode:   how
    stream: where, standard output as a rule
    """

    def __init__(self, mode: ProgressMode, stream: TextIO) -> None:
        if mode is ProgressMode.AUTO:
            mode = ProgressMode.BAR if stream.isatty() else ProgressMode.LINES
        self._mode = mode
        self._console = Console(stream)
        self._stream = stream
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._bar: Bar | None = None
        self._rate = RecentRate()
        self._began = time.time()
        self._directory: RunDirectory | None = None

    def notify(self, message: str) -> None:
        """A line from the launcher."""
        if self._mode is ProgressMode.JSON:
            self._write({"event": "message", "text": message})
        else:
            Console(sys.stderr).notify(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.end()
        else:
            self.close()

    def follow(self, context: RunContext) -> RunContext:
        """From now on this run is shown; the same context, for whoever runs it."""
        directory = self._directory = context.directory
        if self._mode is ProgressMode.BAR:
            from mpibatch.reporting.bar import Bar  # rich takes a while to import

            self._bar = Bar(self._stream)
        elif self._mode is ProgressMode.JSON:
            # what the ranks print goes to standard error from now on: a reader wants nothing but objects here
            self._stream.flush()
            self._stream = os.fdopen(os.dup(self._stream.fileno()), "w")
            os.dup2(2, 1)
        self._thread = threading.Thread(target=self._show, args=(directory,), name="mpibatch-progress", daemon=True)
        self._thread.start()
        return context

    def end(self) -> None:
        """The ranks are gone: the last lines, and the report, if the run has said how it ended."""
        self.close()
        directory = self._directory
        if directory is None:
            return
        with contextlib.suppress(MpibatchError, OSError):
            summary = Summary.read(directory)
            if summary is None or summary.updated < self._began:
                return  # nothing was to be done, or the ranks died: that was said
            said = _said_at_end(directory) or _finish(directory, summary)
            if self._mode is ProgressMode.JSON:
                self._write({"event": "end", **asdict(summary), "report": str(directory.report)})
            else:
                self._console.notify(said)

    def close(self) -> None:
        """Shows nothing more; the terminal is as it was before."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    # -- the thread

    def _show(self, directory: RunDirectory) -> None:
        interval, next_report, last_seen = GrowingInterval(), time.monotonic() + REPORT_SECONDS, 0.0
        while not self._stop.wait(POLL_SECONDS):
            with contextlib.suppress(MpibatchError, OSError):
                summary = Summary.read_status(directory)
                if summary is None or summary.updated < self._began:
                    continue
                fresh, last_seen = summary.updated > last_seen, summary.updated
                recent = self._rate.update(summary)
                if self._bar is not None:
                    self._bar.update(summary, recent)
                elif self._mode is ProgressMode.JSON and fresh:
                    self._write({"event": "progress", **asdict(summary), "items_per_second": recent})
                elif self._mode is ProgressMode.LINES and interval.is_over():
                    self._console.notify(text.progress(summary, recent))
                if (began := time.monotonic()) >= next_report:
                    next_report = began + REPORT_SECONDS  # also where it cannot be written
                    self._write_report(directory, summary)
                    next_report = began + max(REPORT_SECONDS, (time.monotonic() - began) / REPORT_SHARE)

    def _write_report(self, directory: RunDirectory, summary: Summary) -> None:
        from mpibatch.reporting.report import write_report

        write_report(directory, summary)

    def _write(self, event: dict[str, object]) -> None:
        try:
            print(json.dumps(event), file=self._stream, flush=True)
        except (OSError, ValueError):
            self._mode = ProgressMode.NONE


def _said_at_end(directory: RunDirectory) -> str:
    """What rank 0 has written of the end; "" where it was killed before."""
    with contextlib.suppress(OSError):
        return directory.summary_text.read_text(encoding="utf-8").rstrip("\n")
    return ""


def _finish(directory: RunDirectory, summary: Summary) -> str:
    from mpibatch.reporting.report import finish  # NumPy, pyarrow and jinja2 take a while to import

    return finish(summary, directory)
