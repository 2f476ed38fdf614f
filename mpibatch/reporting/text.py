"""How a run is put into words: a line of progress, a failure, a duration."""

from mpibatch.runs.failure_kinds import FailureKind
from mpibatch.runs.summary import Summary
from mpibatch.types import UNKNOWN


def progress(summary: Summary, recent: float | None = None) -> str:
    """`1200/5000 mini-batches (24%), 12000 items, 35.2 items/s, 1 failed, 4 of 4 ranks at work, 2 min left`.

    recent: items a second lately; None for the mean since the first grant
    """
    batches, items = summary.mini_batches, summary.items
    done = batches.succeeded + batches.failed
    percent = 100 * done // batches.total if batches.total else 100
    parts = [f"{done}/{batches.total} mini-batches ({percent}%)", f"{items.succeeded} items"]
    if summary.seconds.processing > 0:
        parts.append(f"{rate(summary) if recent is None else f'{recent:,.1f}'} items/s")
    if items.failed:
        parts.append(f"{items.failed} failed")
    parts.append(f"{summary.executors.ready} of {summary.ranks} ranks at work")
    left = seconds_left(summary)
    if left is not None:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def failure_line(kind: FailureKind) -> str:
    """`mini-batch 3 (0003.png), score.py:12 in run, rank 0 on node1: ValueError: what it says`."""
    return f"{failure_place(kind)}: {printable(kind.error)[:300]}"


def failure_place(kind: FailureKind) -> str:
    """The same without the error."""
    where = [] if kind.mini_batch == UNKNOWN else [f"mini-batch {kind.mini_batch}"]
    if where and kind.item:
        where[0] += f" ({printable(kind.item.rpartition('/')[2])[:60]})"
    if kind.where:
        where.append(printable(kind.where))
    if kind.rank != UNKNOWN:
        where.append(f"rank {kind.rank} on {kind.host}")
    return ", ".join(where)


def seconds_left(summary: Summary) -> float | None:
    """Until the last mini-batch, at the mean speed of this incarnation; None where nothing is done yet."""
    batches = summary.mini_batches
    done = batches.succeeded + batches.failed
    if not done or not batches.remaining or summary.seconds.processing <= 0:
        return None
    return summary.seconds.processing * batches.remaining / done


def duration(seconds: float) -> str:
    """`35 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if 0 < seconds < 0.9995e-3:
        return f"{1e6 * seconds:.3g} \u00b5s"
    if 0 < seconds < 0.9995:
        return f"{1e3 * seconds:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for size, name, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def printable(text: str) -> str:
    """Text of a user's, as it can be shown on one line: what would move the cursor or hide something is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


TERMINAL_LINE = 400  # characters of a user's that a terminal shows in one line


def printable_lines(text: str, longest: int = 2000) -> str:
    """The same of several lines, which stay; long ones are cut."""
    return "\n".join(printable(line)[:longest] for line in text.splitlines())


def rate(summary: Summary) -> str:
    """Items per second of processing, to three digits."""
    items = summary.items.succeeded + summary.items.failed
    seconds = summary.seconds.processing
    return f"{items / seconds:,.1f}" if seconds > 0 else "0"
