"""Who got what: the GPUs and CPUs of each executor, as a table of text."""

from collections.abc import Sequence

from mpibatch.placement.assign import Placement

ROWS_SHOWN = 64


def placement_table(placements: Sequence[tuple[str, Placement | str]]) -> str:
    """A line for each rank, in their order: its host, and its placement or why it has none; at most ROWS_SHOWN."""
    header = ("rank", "host", "GPUs", "CPUs", "NUMA", "threads")
    rows = [header, *(_row(rank, host, what) for rank, (host, what) in enumerate(placements[:ROWS_SHOWN]))]
    widths = [max(len(row[column]) for row in rows if len(row) > column + 1) for column in range(len(header) - 1)]
    lines = ["  ".join(map(str.ljust, row, [*widths[: len(row) - 1], 0])) for row in rows]
    if len(placements) > ROWS_SHOWN:
        lines.append(f"and {len(placements) - ROWS_SHOWN} more: run.json has them all")
    return "\n".join(lines)


def _row(rank: int, host: str, what: Placement | str) -> tuple[str, ...]:
    if isinstance(what, str):
        return str(rank), host, what
    return (
        str(rank),
        host,
        ",".join(what.gpus) or "none",
        ranges(what.cores),
        ranges(what.numa_nodes) if what.numa_nodes else "?",
        str(what.threads),
    )


def placement_text(placement: Placement) -> str:
    """The same of one executor, in a line: `CPUs 0-3,8, GPUs 1,2`."""
    names = ",".join(placement.gpus)
    gpus = f"{'GPU' if len(placement.gpus) == 1 else 'GPUs'} {names}" if names else "no GPU"
    return f"CPUs {ranges(placement.cores)}, {gpus}"


def ranges(numbers: tuple[int, ...]) -> str:
    """`0-3,8`; `any` where none are named."""
    if not numbers:
        return "any"
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
