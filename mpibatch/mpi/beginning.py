"""What a run begins with: its plan, made or read back, and what is done of it.

datasets --ParallelMap, on all ranks--> Plan --> dataset_states.bin, plan.parquet        --+--> Beginning
logs of earlier incarnations --recover--> RecoveredRun --may it be gone on with?-----------+
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpibatch.datasets.base import Dataset
from mpibatch.datasets.state_file import load_states, write_states
from mpibatch.mpi.parallel_map import ParallelMap, PlanningTransport
from mpibatch.planning.plan import Plan
from mpibatch.runs.checkpoint import Checkpoint
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.fingerprints import Fingerprints
from mpibatch.runs.input_changes import ensure_inputs_unchanged
from mpibatch.runs.program_changes import ProgramChanges, compare_program, failed_by_the_script, was_aborted
from mpibatch.runs.recovery import RecoveredRun, recover
from mpibatch.runs.resume import ResumeOptions, RunContext


@dataclass(frozen=True, slots=True)
class Beginning:
    """again: mini-batches that were final and are run again."""

    recovered: RecoveredRun
    changes: ProgramChanges
    again: NDArray[np.int64]


def plan(context: RunContext, datasets: list[Dataset], transport: PlanningTransport) -> Beginning:
    """Of a run that is new. Raises InputError, RunDirectoryError."""
    directory = context.directory
    made = Plan.build(datasets, ParallelMap(transport))
    write_states(directory.dataset_states, datasets)
    made.write(directory.plan_copy)  # first: where there is a plan there is its copy
    made.write(directory.plan)
    fresh = RecoveredRun.fresh(made)
    return Beginning(fresh, ProgramChanges(Fingerprints.of(context.job)), fresh.failed())


def resume(context: RunContext, datasets: list[Dataset]) -> Beginning:
    """Of a run that has a plan. Raises MpibatchError where it cannot, or is not to, be gone on with."""
    directory, options = context.directory, context.options
    recovered = recover(directory)
    load_states(directory.dataset_states, datasets)
    changes = compare_program(directory, context.job, recovered, options.accept_changed)
    again = _reopen(directory, recovered, changes, options)
    if not options.accept_changed:
        ensure_inputs_unchanged(directory, recovered, datasets)
    return Beginning(recovered, changes, again)


def _reopen(
    directory: RunDirectory, recovered: RecoveredRun, changes: ProgramChanges, options: ResumeOptions
) -> NDArray[np.int64]:
    """Takes back what is to be run again; which mini-batches those are."""
    if options.retry_failed:
        again = recovered.failed()
    elif changes.script_changed and was_aborted(directory):
        again = failed_by_the_script(recovered)
    else:
        return np.zeros(0, dtype=np.int64)
    recovered.checkpoint = Checkpoint()
    recovered.outcomes.table["final"][again] = False
    return again
