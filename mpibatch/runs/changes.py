"""Whether the inputs of what is left to do are still those that were planned.

A file counts as changed if its content or its inode was touched after the plan was written: replacing a file by an
older one shows in its change time. Both times come from file systems, not from this machine's clock.
"""

import os
from collections.abc import Iterator, Sequence

import numpy as np

from mpibatch.datasets.base import Dataset
from mpibatch.errors import UsageError
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.history import History

SHOWN = 10


def refuse_changed_inputs(directory: RunDirectory, history: History, datasets: Sequence[Dataset]) -> None:
    """Raises UsageError with the list where a file of unfinished mini-batches has changed since the plan was made.

    Missing files are no matter of this: their mini-batches fail, with that reason.
    """
    planned = directory.plan.stat().st_mtime_ns
    changed = [path for path in _unfinished(history, datasets) if _touched(path) > planned]
    if changed:
        listed = "".join(f"\n  {path!r}" for path in changed[:SHOWN])
        more = f"\n  and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise UsageError(
            f"{len(changed)} unfinished input files have changed since the plan of {directory.path} was made:"
            f"{listed}{more}\nRows of old and new data would stand side by side. Start a new run, or say "
            "--accept-changed-inputs if they may."
        )


def _unfinished(history: History, datasets: Sequence[Dataset]) -> Iterator[str]:
    """Each local file of which something is left to do, once."""
    seen: set[str] = set()
    for index in np.flatnonzero(~history.outcomes.table["final"]).tolist():
        batch = history.plan.mini_batch(index)
        for item in datasets[batch.dataset].describe(batch.payload, None, batch.items):
            if item.item not in seen and "://" not in item.item:
                seen.add(item.item)
                yield item.item


def _touched(path: str) -> int:
    """Nanoseconds; 0 for what is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return max(found.st_mtime_ns, found.st_ctime_ns)
