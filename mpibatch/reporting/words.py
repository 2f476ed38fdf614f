"""How a run is put into words: a line of progress, its last lines, where a rank was placed."""

from mpibatch.placement.place import Placement
from mpibatch.runs.status import Summary
from mpibatch.types import UNKNOWN


def progress(summary: Summary, working: int) -> str:
    """`1200/5000 mini-batches (24%), 12000 items, 35.2 items/s, 1 failed, 4 of 4 ranks at work`."""
    batches, items = summary.mini_batches, summary.items
    done = batches.succeeded + batches.failed
    percent = 100 * done // batches.total if batches.total else 100
    parts = [f"{done}/{batches.total} mini-batches ({percent}%)", f"{items.succeeded} items"]
    if summary.seconds.processing > 0:
        parts.append(f"{rate(summary)} items/s")
    if items.failed:
        parts.append(f"{items.failed} failed")
    parts.append(f"{working} of {summary.ranks} ranks at work")
    return ", ".join(parts)


def ending(summary: Summary, directory: str) -> str:
    """What the user is left with."""
    batches, items, seconds = summary.mini_batches, summary.items, summary.seconds
    processing = f"{seconds.processing:.2f} s ({rate(summary)} items/s)"
    lines = [
        f"{summary.status.value}" + (f": {summary.reason}" if summary.reason else ""),
        f"  mini-batches  {batches.succeeded} succeeded, {batches.failed} failed"
        + (f", {batches.remaining} remaining" if batches.remaining else ""),
        f"  items         {items.succeeded} succeeded, {items.failed} failed"
        + (f" ({items.estimated} of them estimated)" if items.estimated else "")
        + ("" if items.total == UNKNOWN else f", of {items.total}"),
        f"  time          {seconds.total:.2f} s, of which processing {processing}",
        f"  run directory {directory}",
    ]
    if items.failed:
        lines.append(f"  failed items  {directory}/failed_items.jsonl")
    if summary.output is not None:
        lines.append(f"  output        {summary.output}")
    return "\n".join(lines)


def rate(summary: Summary) -> str:
    """Items per second of processing, to three digits."""
    items = summary.items.succeeded + summary.items.failed
    seconds = summary.seconds.processing
    return f"{items / seconds:,.1f}" if seconds > 0 else "0"


def place(placement: Placement) -> str:
    """`cores 0-3,8, GPU 1`."""
    gpu = "no GPU" if placement.gpu is None else f"GPU {placement.gpu}"
    return f"cores {ranges(placement.cores)}, {gpu}"


def ranges(cores: tuple[int, ...]) -> str:
    """`0-3,8`; all the cores there are where none are named."""
    if not cores:
        return "any"
    spans: list[list[int]] = []
    for core in cores:
        if spans and spans[-1][1] == core - 1:
            spans[-1][1] = core
        else:
            spans.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
