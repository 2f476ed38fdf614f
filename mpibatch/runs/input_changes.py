"""Whether the inputs of what is left to do are still those that were planned.

Each file is compared with what the planner saw there (datasets/file_identity.py), and with no clock.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from mpibatch.datasets.base import Dataset
from mpibatch.datasets.file_identity import difference
from mpibatch.errors import UsageError
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.recovery import RecoveredRun

SHOWN = 10


def ensure_inputs_unchanged(directory: RunDirectory, recovered: RecoveredRun, datasets: Sequence[Dataset]) -> None:
    """Raises UsageError with the list where a file of unfinished mini-batches has changed since the plan was made.

    Missing files are no matter of this: their mini-batches fail, with that reason.
    """
    changed = list(_changed(recovered, datasets))
    if changed:
        listed = "".join(f"\n  {path!r}: {change}" for path, change in changed[:SHOWN])
        more = f"\n  and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise UsageError(
            f"{len(changed)} unfinished input files have changed since the plan of {directory.path} was made:"
            f"{listed}{more}\nRows of old and new data would stand side by side. Start a new run, or say "
            "--accept-changed-inputs if they may."
        )


def _changed(recovered: RecoveredRun, datasets: Sequence[Dataset]) -> Iterator[tuple[str, str]]:
    """Each file of which something is left to do and that has changed, once; and what has changed."""
    seen: set[str] = set()
    for index in np.flatnonzero(~recovered.outcomes.table["final"]).tolist():
        batch = recovered.plan.mini_batch(index)
        for path, planned in datasets[batch.dataset].planned_files(batch.payload):
            if path in seen:
                continue
            seen.add(path)
            with suppress(OSError):
                if change := difference(planned, os.stat(path)):
                    yield path, change
