"""`mpibatch status` and `mpibatch runs`: where runs stand, from their files only, from any machine that sees them.

run.json, status.json, summary.json, owner.json --read_status--> Status --> a screen of text, a line, JSON
"""

import contextlib
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mpibatch.errors import MpibatchError, RunDirectoryError, UsageError
from mpibatch.liveness.lease import is_owned
from mpibatch.reporting import ending, text
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.run_record import RunRecord
from mpibatch.runs.summary import Summary

BAR_WIDTH = 40
BESIDE_BAR = 10  # columns
KINDS_SHOWN = 5


class LiveState(StrEnum):
    """As a looker-on sees it: RunState, and what no run can say of itself."""

    STARTING = "starting"  # owned, and no status yet
    RUNNING = "running"
    COMPLETED = "completed"
    ABORTED = "aborted"
    STOPPED = "stopped"
    DEAD = "dead"  # its processes are gone, and it has not said how it ended
    WAITING = "waiting"  # a run directory without a run so far: submitted, and still in the queue


@dataclass(frozen=True, slots=True)
class Status:
    """One run. summary: its latest; None where it has not said anything yet. age: seconds since it was created."""

    directory: RunDirectory
    record: RunRecord | None
    state: LiveState
    summary: Summary | None
    age: float

    @property
    def rate(self) -> float:
        """Items a second since the first grant."""
        if self.summary is None or self.summary.seconds.processing <= 0:
            return 0.0
        items = self.summary.items
        return (items.succeeded + items.failed) / self.summary.seconds.processing

    def to_json(self) -> dict[str, Any]:
        """The keys of `status --json`: stable, and documented in mpibatch/reporting/README.md."""
        return {
            "run_directory": str(self.directory.path),
            "name": None if self.record is None else self.record.job.name,
            "state": self.state.value,
            "created": None if self.record is None else self.record.created,
            "items_per_second": self.rate,
            "seconds_left": None if self.summary is None else text.seconds_left(self.summary),
            "summary": None if self.summary is None else asdict(self.summary),
        }


def read_status(path: Path) -> Status:
    """Raises UsageError where `path` is no run directory, RunDirectoryError where its files cannot be read."""
    directory = RunDirectory(path.absolute())
    if not directory.path.is_dir():
        raise UsageError(
            f"{path} is no run directory: it does not exist. `mpibatch runs FOLDER` lists those of a folder"
        )
    record = RunRecord.read(directory) if directory.run_json.exists() else None
    if record is None and not (directory.path / "logs").is_dir():
        raise UsageError(
            f"{path} is no run directory: it has no run.json. `mpibatch runs {path}` lists the runs below it"
        )
    owned = is_owned(directory.path)
    end = Summary.read(directory)
    latest = end or Summary.read_status(directory)
    if end is not None and not owned:
        state = LiveState(end.status.value)
    elif owned:
        state = LiveState.STARTING if latest is None else LiveState.RUNNING
    elif record is None:
        state = LiveState.WAITING
    else:
        state = LiveState.DEAD if owned is False or latest is not None else LiveState.WAITING
    age = 0.0 if record is None else max(0.0, time.time() - _seconds(record.created))
    return Status(directory, record, state, latest, age)


def _seconds(created: str) -> float:
    try:
        return datetime.fromisoformat(created).timestamp()
    except ValueError:
        return time.time()


def status_text(status: Status, width: int = 80) -> str:
    """A screen of text of `width` columns, but for paths and commands, which are to be copied whole."""
    lines = [f"{status.state.value}: {_name(status)}", f"  run directory  {text.printable(str(status.directory.path))}"]
    summary = status.summary
    rows: list[tuple[str, str]] = []
    if summary is not None:
        lines.append(_bar(summary, min(BAR_WIDTH, width - BESIDE_BAR)))
        rows += _figures(status, summary)
    if status.record is not None:
        rows.append(("begun", f"{status.record.created}, {text.duration(status.age)} ago"))
    for label, value in rows:
        lines += ending.wrap(value, f"  {label:15}", width)
    lines += [f"  {line}" for line in _next(status)]
    return "\n".join(lines)


def _bar(summary: Summary, columns: int) -> str:
    batches = summary.mini_batches
    share = (batches.succeeded + batches.failed) / batches.total if batches.total else 1.0
    filled = int(share * columns)
    return f"  [{'#' * filled}{'.' * (columns - filled)}] {share:.0%}"


def _figures(status: Status, summary: Summary) -> Iterator[tuple[str, str]]:
    batches, items, executors = summary.mini_batches, summary.items, summary.executors
    done = batches.succeeded + batches.failed
    yield "mini-batches", f"{done:,} of {batches.total:,} done, {batches.failed:,} of them failed"
    yield "items", f"{items.succeeded:,} succeeded, {items.failed:,} failed"
    yield "speed", f"{status.rate:,.1f} items/s"
    if status.state is LiveState.RUNNING:
        left = text.seconds_left(summary)
        yield "time left", text.duration(left) if left is not None else "not known yet"
        yield "executors", f"{executors.ready} of {summary.ranks} ready, {executors.busy} busy"
    else:
        yield "time", text.duration(summary.seconds.total)
    if summary.restarts:
        yield "restarts", str(summary.restarts)
    if summary.backups_line:
        yield "backups", summary.backups_line
    if summary.reason and status.state is not LiveState.RUNNING:
        yield "reason", text.printable(summary.reason.splitlines()[0])[:300]
    for kind in summary.failures[:KINDS_SHOWN]:
        line = text.failure_line(kind)
        yield "failed", line if kind.count == 1 else f"{kind.count:,} tries, the first: {line}"


def _next(status: Status) -> Iterator[str]:
    if status.state is LiveState.DEAD:
        yield "its processes are gone, killed or lost with their node, and it was not complete"
        yield f"go on          mpibatch resume {shlex.quote(str(status.directory.path))}"
    elif status.summary is not None and status.state in (LiveState.COMPLETED, LiveState.ABORTED, LiveState.STOPPED):
        for label, command in ending.what_now(status.summary, status.directory):
            yield f"{label:14} {command}"
    if status.directory.report.exists():
        yield f"report         {text.printable(str(status.directory.report))}"


def find_runs(folder: Path) -> list[Status]:
    """The runs directly below `folder`, oldest first; `latest` is no run of its own. Raises UsageError."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Name the folder that holds run directories: a job's `output`")
    found = []
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as error:
        raise RunDirectoryError(f"cannot read {folder}: {error.strerror}") from error
    for path in paths:
        with contextlib.suppress(MpibatchError):
            found.append(read_status(path))
    return found


def runs_text(found: list[Status], width: int | None = None) -> str:
    """A line a run under a head line; three lines a run where `width` columns are too few for that."""
    rows = [("RUN", "NAME", "STATE", "AGE", "DONE", "FAILED", "ITEMS/S")]
    for status in found:
        summary = status.summary
        done = (
            "-"
            if summary is None
            else f"{summary.mini_batches.succeeded + summary.mini_batches.failed}/{summary.mini_batches.total}"
        )
        failed = "-" if summary is None else str(summary.items.failed)
        rows.append(
            (
                text.printable(status.directory.path.name),
                _name(status),
                status.state.value,
                text.duration(status.age),
                done,
                failed,
                f"{status.rate:,.1f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if width is not None and sum(widths) + 2 * len(widths) - 2 > width:
        lines = []
        for run, name, state, age, done, failed, rate in rows[1:]:
            lines.append(run)
            lines += ending.wrap(f"{name}: {state}, {age} ago", "  ", width)
            lines += ending.wrap(f"{done} done, {failed} failed, {rate} items/s", "  ", width)
        return "\n".join(lines)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _name(status: Status) -> str:
    return "-" if status.record is None else status.record.job.name
