"""What a user is left with when a run ends: counts, the first traceback, advice, and the very command that goes on.

summary.json, measurements --finish--> report.html, and text that fits 80 columns
"""

import shlex
import textwrap

from mpibatch.reporting.advice import Advice
from mpibatch.reporting.analysis import Analysis
from mpibatch.reporting.text import TERMINAL_LINE, failure_line, failure_place, printable_lines, rate
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.summary import RunState, Summary
from mpibatch.types import UNKNOWN

TRACEBACK_LINES = 30


def end_text(
    summary: Summary, directory: RunDirectory, analysis: Analysis | None, found: list[Advice], report: str
) -> str:
    """The last lines of a run."""
    batches, items, seconds = summary.mini_batches, summary.items, summary.seconds
    processing = f"{seconds.processing:.2f} s ({rate(summary)} items/s)"
    lines = [
        f"{summary.status.value}" + (f": {printable_lines(summary.reason, TERMINAL_LINE)}" if summary.reason else ""),
        f"  mini-batches  {batches.succeeded} succeeded, {batches.failed} failed"
        + (f", {batches.remaining} remaining" if batches.remaining else ""),
        f"  items         {items.succeeded} succeeded, {items.failed} failed"
        + (f" ({items.estimated} of them estimated)" if items.estimated else "")
        + ("" if items.total == UNKNOWN else f", of {items.total}"),
        f"  time          {seconds.total:.2f} s, of which processing {processing}",
        *(
            []
            if analysis is None
            else [f"  executors     {summary.ranks}, {analysis.busy_share:.0%} busy after init()"]
        ),
        *([f"  backups       {summary.backups_line}"] if summary.backups_line else []),
        f"  run directory {directory.path}",
    ]
    if items.failed:
        lines.append(f"  failed items  {directory.failed_items}")
    if (output := summary.output_path(directory)) is not None:
        lines.append(f"  output        {output}")
    lines.append(f"  report        {report}")
    for change in summary.changes:
        lines += wrap(printable_lines(change), "  changed       ")
    lines += _failures(summary, directory)
    for advice in found:
        lines += wrap(f"{advice.setting}: {advice.text}", "  advice        ")
    lines += [f"  {label:13} {command}" for label, command in what_now(summary, directory)]
    return "\n".join(lines)


def _failures(summary: Summary, directory: RunDirectory) -> list[str]:
    """The first failure with its traceback, how many more like it, and where all of them are."""
    if not summary.failures:
        return []
    first, others = summary.failures[0], len(summary.failures) - 1
    said = first.error in summary.reason
    lines = [f"  first failure {failure_place(first) if said else failure_line(first)}"]
    if first.traceback and not said:
        told = (
            line for line in printable_lines(first.traceback.rstrip(), TERMINAL_LINE).splitlines() if line.strip(" ^~")
        )
        shown = list(told)[-TRACEBACK_LINES:]  # without what only underlines
        lines += [f"    {line}" for line in shown]
    more = f"{first.count - 1} more failed attempts like it" if first.count > 1 else "no other attempt failed like it"
    if others:
        more += f", and {others} other kind{'s' if others > 1 else ''} of failure"
    return [*lines, f"  {'':13} {more}; all: {directory.error_log}"]


def what_now(summary: Summary, directory: RunDirectory) -> list[tuple[str, str]]:
    """What to do next, and the command that does it; nothing where all is well."""
    path = shlex.quote(str(directory.path))
    see, resume = ("see them", f"mpibatch failures {path}"), f"mpibatch resume {path}"
    if summary.status is RunState.COMPLETED:
        return [see, ("try again", f"{resume} --retry-failed")] if summary.items.failed else []
    if summary.status is RunState.ABORTED:
        return [see, ("once mended", f"{resume} --retry-failed" if summary.items.failed else resume)]
    return [("go on", resume)]


def wrap(content: str, label: str, width: int = 80) -> list[str]:
    """Lines of at most `width` columns, but for long words; the label before the first."""
    return textwrap.wrap(
        content, width, initial_indent=label, subsequent_indent=" " * len(label), break_long_words=False
    )
