"""How a run is begun, and how one that has begun is resumed: with which job, with which changes, if at all.

Job ------create_run-----------> a new run directory with its run.json
Job ------resume_with----------> the recorded job, with those settings of this one that may change
--set ----override-------------> the recorded job, with these settings
run.json, summary.json --------> nothing_to_do: "" or why not
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mpibatch.config.problems import escape, format_value, nearest
from mpibatch.config.schema import Job, RunConfig
from mpibatch.config.settings import resumable, settings_of
from mpibatch.errors import UsageError
from mpibatch.liveness.lease import ensure_unowned
from mpibatch.runs import directory as directories
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.run_record import RunRecord, command_line, read_job
from mpibatch.runs.summary import RunState, Summary


@dataclass(frozen=True, slots=True)
class ResumeOptions:
    """How a run that has begun before is resumed.

    retry_failed:   mini-batches with failed items are run again
    accept_changed: inputs that changed since the plan was made are no reason to refuse
    """

    retry_failed: bool = False
    accept_changed: bool = False


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run directory with its job, ready to be run.

    watched: who has started the ranks shows progress and the end; else rank 0 prints them
    """

    job: Job
    directory: RunDirectory
    options: ResumeOptions
    watched: bool = False


def create_or_resume(job: Job, run_dir: Path | None, accept_changed: bool = False) -> tuple[Job, RunDirectory]:
    """A new run of `job`, or the one at `run_dir` that has begun. Raises RunDirectoryError, UsageError.

    accept_changed: the run goes on with the side inputs and models of `job`, where they are others than before
    """
    if run_dir is None:
        directory = directories.create(Path(job.output))
    elif (directory := RunDirectory(run_dir.absolute())).run_json.exists():
        return resume_with(directory, job, accept_changed), directory
    else:
        directories.create_at(run_dir)
    if RunRecord.new(job, command_line()).create(directory):
        return job, directory
    return resume_with(directory, job, accept_changed), directory  # another process has begun it just now


def create_run(job: Job, run_dir: Path | None, command: Sequence[str]) -> RunDirectory:
    """A new run directory for `job`, at `run_dir` or below job.output, with its run.json. Raises RunDirectoryError."""
    directory = directories.create(Path(job.output)) if run_dir is None else directories.create_at(run_dir)
    RunRecord.new(job, command).write(directory)
    return directory


def nothing_to_do(directory: RunDirectory, options: ResumeOptions) -> str:
    """Why a run need not be resumed, in words; "" where there is something to do.

    Raises UsageError where failed mini-batches cannot be tried again, RunDirectoryError where nothing can be read.
    """
    summary = Summary.read(directory)
    if summary is None or summary.status is not RunState.COMPLETED:
        return ""
    dropped = not directory.results_logs()
    output = summary.output_path(directory)
    if output is not None and not output.exists():
        if not dropped:
            return ""
        raise UsageError(
            f"{directory.path} is complete, but its output {output} is no longer there, and neither are the results "
            "from which it was made. Start a new run."
        )
    if not options.retry_failed:
        return "this run is complete; there is nothing left to do"
    if not summary.items.failed:
        return "this run is complete, and nothing has failed that could be tried again"
    if dropped:
        raise UsageError(
            f"the results log of {directory.path} was dropped by `mpibatch clean`: what succeeded cannot be put "
            "together with what would be tried again. Start a new run."
        )
    return ""


def resume_with(directory: RunDirectory, job: Job, accept_changed: bool = False) -> Job:
    """`merge_settings`, and run.json is updated."""
    now = merge_settings(directory, job, accept_changed)
    if now != read_job(directory):
        _update(directory, now)
    return now


def merge_settings(directory: RunDirectory, job: Job, accept_changed: bool = False) -> Job:
    """The recorded job with the settings of `job` that may change between incarnations.

    Raises UsageError where others differ: rows made with different settings would stand side by side.
    """
    before = read_job(directory)
    changed = {name: getattr(job.config, name) for name in resumable()}
    now = replace(before, config=replace(before.config, **changed))
    if others := _other_side_inputs(now, job):
        if not accept_changed:
            raise UsageError(
                f"{directory.path} was begun with other side inputs ({'; '.join(others)}), and rows made with both "
                f"would stand side by side. `mpibatch resume {directory.path}` goes on with those that it has; say "
                "--accept-changed-inputs if it may go on with the new ones."
            )
        now = _with_side_inputs_of(now, job)
    alike = replace(job, output=now.output, allow_reuse=now.allow_reuse, file=now.file)
    if alike != now:
        raise UsageError(
            f"{directory.path} was begun with other settings ({', '.join(_differences(alike, now))}), and rows made "
            f"with both would stand side by side. Only these may change in a run that is resumed: {_names()}"
        )
    return now


def override(directory: RunDirectory, sets: Sequence[str]) -> Job:
    """The recorded job with `--set NAME=VALUE` of a resume applied; run.json is updated.

    Raises UsageError, and changes nothing, unless the job file could have all of them.
    """
    job = read_job(directory)
    if not sets:
        return job
    now = replace(job, config=replace(job.config, **dict(map(_parse, sets))))
    _update(directory, now)
    return now


def _parse(text: str) -> tuple[str, Any]:
    """The name and the value of a setting from the command line."""
    from mpibatch.config.validate import read_text  # most resumes change nothing, and need no pydantic

    said = f'--set "{escape(text)[:80]}"'
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise UsageError(f"{said} has no =; write --set NAME=VALUE")
    if name not in resumable():
        near = nearest(name, resumable())
        hint = f" Did you mean {near}?" if near else ""
        raise UsageError(f"{said}: a resume can change only {_names()}.{hint}")
    (setting,) = (setting for setting in settings_of(RunConfig) if setting.name == name)
    try:
        return name, read_text(setting.hint, value)
    except ValueError as error:
        raise UsageError(f"{said}: {setting.key} is {format_value(value)}; it must be {error}") from None


def _names() -> str:
    return ", ".join(resumable())


def _other_side_inputs(now: Job, job: Job) -> list[str]:
    """In words, which of the side inputs that both have lie elsewhere, or are another version of a model."""
    before = {side.name: side for side in now.side_inputs}
    both = ((before[side.name], side) for side in job.side_inputs if side.name in before)
    others = [(one, two) for one, two in both if (one.path, one.model) != (two.path, two.model)]
    return [f"{one.name}: {one.model or one.path}, now {two.model or two.path}" for one, two in others]


def _with_side_inputs_of(now: Job, job: Job) -> Job:
    """`now` with the side inputs of `job`, also where arguments name their paths."""
    before = {side.name: side.path for side in now.side_inputs}
    arguments = now.arguments
    for side in job.side_inputs:
        if side.name in before:
            arguments = tuple(text.replace(before[side.name], side.path) for text in arguments)
    return replace(now, side_inputs=job.side_inputs, arguments=arguments)


def _differences(one: Job, other: Job) -> list[str]:
    names = [field.name for field in fields(Job) if field.name != "config"]
    found = [name for name in names if getattr(one, name) != getattr(other, name)]
    settings = [field.name for field in fields(one.config)]
    return found + [name for name in settings if getattr(one.config, name) != getattr(other.config, name)]


def _update(directory: RunDirectory, job: Job) -> None:
    ensure_unowned(directory.path)
    replace(RunRecord.read(directory), job=job).write(directory)
