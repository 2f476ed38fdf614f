"""Whether script, side inputs and models of a resumed run are still those that its rows were made with.

    run.json: fingerprints --compare with now--> side input, model: refused, unless --accept-changed-inputs
                                            `--> script: told in a line, for people mend bugs that way

What was told stands in run.json from then on, and from there in the summary and the report.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempts import AttemptOutcome
from mpibatch.config.schema import Job
from mpibatch.errors import UsageError
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.fingerprints import Fingerprints
from mpibatch.runs.recovery import RecoveredRun
from mpibatch.runs.run_record import RunRecord
from mpibatch.runs.summary import RunState, Summary

SHOWN = 5  # files named in a line
BY_THE_SCRIPT = frozenset(
    outcome.name.lower()
    for outcome in (
        AttemptOutcome.USER_ERROR,
        AttemptOutcome.WRONG_RETURN,
        AttemptOutcome.TIMEOUT,
        AttemptOutcome.EXECUTOR_CRASH,
    )
)


@dataclass(frozen=True, slots=True)
class ProgramChanges:
    """now: as everything is; script_changed: of the script something is another; told: a sentence for each change"""

    now: Fingerprints
    script_changed: bool = False
    told: tuple[str, ...] = ()

    def record(self, directory: RunDirectory) -> tuple[str, ...]:
        """What comes is compared with what is now; returns all that has ever changed. Raises RunDirectoryError."""
        before = RunRecord.read(directory)
        record = replace(before, fingerprints=self.now, changes=(*before.changes, *self.told))
        if record != before:
            record.write(directory)
        return record.changes


def compare_program(directory: RunDirectory, job: Job, recovered: RecoveredRun, accept: bool) -> ProgramChanges:
    """What has changed since the last incarnation. Raises UsageError where a side input has, and nobody accepts it."""
    before, now = RunRecord.read(directory).fingerprints, Fingerprints.of(job)
    if before is None:
        return ProgramChanges(now)
    final = recovered.outcomes.table["final"]
    paths = {side.name: side.path for side in job.side_inputs}
    changed = before.changed_side_inputs(now)
    sides = [f"side input {name} ({paths[name]!r}): {change}" for name, change in changed.items()]
    if sides and final.any() and not accept:
        listed = "".join(f"\n  {line}" for line in sides)
        raise UsageError(
            f"what the script uses has changed since the last rows of {directory.path} were made:{listed}\nRows made "
            "with old and new would stand side by side. Start a new run, or say --accept-changed-inputs if they may."
        )
    told = [f"accepted: {line}" for line in sides] if final.any() else []
    if files := before.changed_script(now):
        told.append(f"the script has changed since row {_rows_before(recovered)} ({_listed(files)})")
    return ProgramChanges(now, bool(files), tuple(told))


def failed_by_the_script(recovered: RecoveredRun) -> NDArray[np.int64]:
    """Final mini-batches that lost an item by an error of the script."""
    found = [
        index
        for index in recovered.failed().tolist()
        if any(one.cause in BY_THE_SCRIPT for one in recovered.outcomes.read_failures(index, recovered.logs))
    ]
    return np.array(found, dtype=np.int64)


def was_aborted(directory: RunDirectory) -> bool:
    """Whether the last incarnation gave up by itself."""
    summary = Summary.read(directory)
    return summary is not None and summary.status is RunState.ABORTED


def changes_meanwhile(before: Fingerprints, job: Job) -> Iterator[str]:
    """What has changed while the run was at work: executors that were started later have used it."""
    now = Fingerprints.of(job)
    if files := before.changed_script(now):
        yield f"the script has changed while the run was at work ({_listed(files)})"
    for name, change in before.changed_side_inputs(now).items():
        yield f"side input {name} has changed while the run was at work: {change}"


def _rows_before(recovered: RecoveredRun) -> int:
    """Rows that the output surely has: those of the mini-batches before the first that is not final."""
    table = recovered.outcomes.table
    unfinished = np.flatnonzero(~table["final"])
    return int(table["succeeded"][: unfinished[0] if len(unfinished) else len(table)].sum())


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
