"""`mpibatch failures`: what failed, grouped by cause and by the user's line, one example each.

failed_items.jsonl --> kinds of failed items           status.json --> attempts that failed, not settled yet
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mpibatch.errors import UsageError
from mpibatch.reporting.text import TERMINAL_LINE, failure_line, printable, printable_lines
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.failure_kinds import FailureKind, read_failed_items
from mpibatch.runs.run_record import RunRecord
from mpibatch.runs.summary import RunState, Summary


def read_failures(directory: RunDirectory) -> tuple[tuple[FailureKind, ...], tuple[FailureKind, ...]]:
    """Kinds of failed items; and, of a run that has not completed, kinds of failed attempts that are none of these.

    Raises UsageError where there is no run, RunDirectoryError where its files cannot be read.
    """
    RunRecord.read(directory)
    items = read_failed_items(directory).most_frequent()
    summary = Summary.read(directory) or Summary.read_status(directory)
    if summary is None or summary.status is RunState.COMPLETED:
        return items, ()
    known = {(kind.cause, kind.where) for kind in items}
    return items, tuple(kind for kind in summary.failures if (kind.cause, kind.where) not in known)


def failures_text(directory: RunDirectory) -> str:
    """All kinds, the first seen first, with one traceback each."""
    items, attempts = read_failures(directory)
    if not items and not attempts:
        return "nothing has failed"
    lines = []
    if items:
        failed = sum(kind.count for kind in items)
        lines.append(f"{_counted(failed, 'failed item')} of {_counted(len(items), 'kind')}")
    for kind in items:
        lines += ["", f"{_counted(kind.count, 'item')}: {kind.cause}", *_example(directory, kind)]
    if attempts:
        lines += ["", "Attempts that failed, of mini-batches that were tried again or are not in the output yet:"]
    for kind in attempts:
        lines += ["", f"{_counted(kind.count, 'attempt')}: {kind.cause}", *_example(directory, kind)]
    lines += ["", f"all failed items: {printable(str(directory.failed_items))}"]
    return "\n".join(lines)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _example(directory: RunDirectory, kind: FailureKind) -> list[str]:
    lines = [f"  {failure_line(kind)}"]
    if kind.item:
        lines.append(f"  item  {printable(kind.item)}")
    if kind.rank >= 0:
        lines.append(f"  log   {printable(str(log_of(directory, kind)))}")
    return lines + [f"    {line}" for line in printable_lines(kind.traceback.rstrip(), TERMINAL_LINE).splitlines()]


def log_of(directory: RunDirectory, kind: FailureKind) -> Path:
    """What the rank of the example wrote to stderr."""
    return directory.rank_log("user/stderr", kind.host, kind.rank)


def failures_json(directory: RunDirectory) -> dict[str, Any]:
    """The keys of `failures --json`."""
    items, attempts = read_failures(directory)
    return {"items": [asdict(kind) for kind in items], "attempts": [asdict(kind) for kind in attempts]}


def failed_item_names(directory: RunDirectory) -> list[str]:
    """Each failed item's path once, in input order: a manifest for another run. Raises UsageError."""
    RunRecord.read(directory)
    names: dict[str, None] = {}

    def note(record: dict[str, Any]) -> None:
        for named in [record] if "item" in record else record.get("candidates", []):
            if isinstance(named.get("item"), str):
                names[named["item"]] = None

    read_failed_items(directory, note)
    for name in names:
        if "\n" in name:
            raise UsageError(
                f"the failed item {json.dumps(name)} has a line break in its name: no manifest can hold it"
            )
    return list(names)
