"""The bar of a terminal, with what the run's processes print on lines above it.

What ranks and mpirun write to the terminal would tear the bar, so that standard output and error of this process, and
of what it starts from now on, are a pipe; its lines are printed above the bar, escaped. `close` undoes that.
"""

import os
import re
import sys
import threading
from typing import TextIO

from rich.console import Console as RichConsole
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mpibatch.reporting import text
from mpibatch.runs.summary import Summary

LONGEST_LINE = 4000
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Bar:
    """On the terminal from construction to `close`."""

    def __init__(self, stream: TextIO) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = (os.dup(1), os.dup(2))
        terminal = os.fdopen(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors="backslashreplace")
        self._terminal = terminal
        console = RichConsole(file=terminal, highlight=False, soft_wrap=False)
        self._live = Live(Text("starting"), console=console, refresh_per_second=4, redirect_stdout=False,
                          redirect_stderr=False, transient=True)  # fmt: skip
        self._console = console
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.close(writing)
        self._live.start()
        self._reader = threading.Thread(target=self._pass_on, args=(reading,), name="mpibatch-terminal", daemon=True)
        self._reader.start()

    def update(self, summary: Summary, recent: float | None) -> None:
        """recent: items a second lately, None where that is not known yet."""
        self._live.update(render(summary, recent, self._console.width))

    def close(self) -> None:
        """The terminal is as it was; what was still in the pipe is printed."""
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in zip((1, 2), self._saved, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        self._reader.join(timeout=2)  # the last writer of the pipe is gone, unless something was left behind
        self._live.stop()
        self._terminal.close()

    def _pass_on(self, reading: int) -> None:
        with os.fdopen(reading, "r", encoding="utf-8", errors="backslashreplace") as lines:
            for line in lines:
                shown = text.printable(_ESCAPE.sub("", line.rstrip("\r\n").replace("\t", "    ")))
                self._console.print(Text(shown[:LONGEST_LINE]), soft_wrap=True)


def render(summary: Summary, recent: float | None, width: int) -> Table:
    """The bar and the lines below it, in `width` columns."""
    batches, items = summary.mini_batches, summary.items
    done = batches.succeeded + batches.failed
    percent = 100 * done // batches.total if batches.total else 100
    head = Text(f" {percent:3d}%  {done:,} of {batches.total:,} mini-batches")
    left = text.seconds_left(summary)
    if left is not None:
        head.append(f"  {text.duration(left)} left")
    parts = [f"{items.succeeded:,} items"]
    if recent is not None:
        parts.append(f"{recent:,.1f} items/s")
    executors = summary.executors
    parts.append(f"{executors.ready} of {summary.ranks} executors ready, {executors.busy} busy")
    if summary.restarts:
        parts.append(f"{summary.restarts} restarts")
    figures = Text(" " + ", ".join(parts))
    if items.failed:
        figures.append(f", {items.failed:,} items failed", style="bold red")
    kinds = [
        Text(f" {kind.count:,} x {kind.cause}: {text.printable(kind.error)}"[: width - 1], style="red")
        for kind in summary.failures[:3]
    ]
    bar = ProgressBar(total=max(batches.total, 1), completed=done, width=max(10, min(width - 1, 100)))
    rows = Table.grid()  # the bar does not end its line by itself
    rows.add_row(bar)
    for line in (head, figures, *kinds):
        rows.add_row(line)
    return rows
