"""A job checked as far as can be without running it: what `mpibatch validate` is about.

    Job --one plan an input--> CheckedJob: the plans, and warnings          all problems at once in one JobFileError

A problem is what would stop a run before its end; a warning is what a run lives with.
"""

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input, Job
from mpibatch.datasets import open_datasets
from mpibatch.datasets.base import Dataset
from mpibatch.errors import InputError, JobFileError
from mpibatch.planning.plan import Plan

FILES_CHECKED = 10_000  # files of an input that are looked at: on a network file system each is a round trip


@dataclass(frozen=True, slots=True)
class CheckedInput:
    """One input and its part of the plan; `first` is the global number of its first mini-batch.

    input: None for the mini-batches of `mini_batch_count`
    """

    input: Input | None
    dataset: Dataset
    plan: Plan
    first: int


@dataclass(frozen=True, slots=True)
class CheckedJob:
    """A job that can be run."""

    job: Job
    inputs: tuple[CheckedInput, ...]
    warnings: tuple[str, ...]


def check(job: Job, display_path: str) -> CheckedJob:
    """Plans every input. Raises JobFileError with all problems; it names the job by `display_path`."""
    problems: list[str] = []
    warnings = _hidden_modules(job)
    inputs: list[CheckedInput] = []
    first = 0
    for input in job.inputs or (None,):
        try:
            (dataset,) = open_datasets(replace(job, inputs=() if input is None else (input,)))
            plan = Plan.build([dataset], map)
        except InputError as error:
            problems.append(str(error))
            continue
        inputs.append(CheckedInput(input, dataset, plan, first))
        first += plan.total
        warnings += plan.warnings
    _check_files(job, inputs, problems, warnings)
    _check_output(job, problems)
    if problems:
        raise JobFileError(display_path, problems)
    return CheckedJob(job, tuple(inputs), tuple(warnings))


def _hidden_modules(job: Job) -> list[str]:
    """A script, or a file beside it, that is imported in place of a module of Python's own."""
    try:
        names = sorted(os.listdir(job.config.source_directory))
    except OSError:
        return []
    return [
        f"{name} in {job.config.source_directory} has the name of a module of Python's own, and what imports that gets "
        "this file: give it another name"
        for name in names
        if name.endswith(".py") and name.removesuffix(".py") in sys.stdlib_module_names
    ]


def _check_files(job: Job, inputs: list[CheckedInput], problems: list[str], warnings: list[str]) -> None:
    """Files that cannot be read would fail; more of them than are tolerated would abort the run."""
    bad = 0
    for checked in inputs:
        if checked.input is None or checked.input.type is not InputType.FILES:
            continue
        complaints = []
        for path in islice(_files(checked), FILES_CHECKED):
            complaint = _complaint(path)
            if complaint:
                complaints.append(f"{path!r} {complaint}")
        bad += len(complaints)
        if complaints:
            some = "; ".join(complaints[:3]) + ("; ..." if len(complaints) > 3 else "")
            warnings.append(f"input {checked.input.name!r}: {len(complaints)} of its files cannot be read: {some}")
    tolerated = job.config.error_threshold
    if 0 <= tolerated < bad:
        problems += warnings
        problems.append(f"the run would be aborted: {bad} items would fail, and error_threshold is {tolerated}")


def _files(checked: CheckedInput) -> Iterator[str]:
    for batch in checked.plan.batches(0, min(checked.plan.total, FILES_CHECKED)):
        for item in checked.dataset.failed_items(batch.payload, None, batch.items):
            if "://" not in item.item:
                yield item.item


def _complaint(path: str) -> str:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return "is a link that leads nowhere" if os.path.islink(path) else "does not exist"
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    if stat.S_ISDIR(status.st_mode):
        return "is a folder"
    return "" if os.access(path, os.R_OK) else "may not be read by this user"


def _check_output(job: Job, problems: list[str]) -> None:
    parent = Path(job.output)
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not os.access(parent, os.W_OK | os.X_OK):
        problems.append(f"output is {job.output!r}, but {str(parent)!r} is not writable for this user")
