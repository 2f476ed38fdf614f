"""What the commands do where they are given a pipeline, or the run of one."""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mpibatch.errors import ExitStatus, UsageError
from mpibatch.reporting.console import Console

if TYPE_CHECKING:
    from mpibatch.launching.batch_script import Submission
    from mpibatch.pipelines.commands import FollowedPipeline
    from mpibatch.pipelines.runner import RunnerOptions

REFRESH_SECONDS = 1.0


def holds_steps(path: Path) -> bool:
    """Whether a file is a pipeline. Asked only by who is no rank: a thousand ranks would all read it."""
    from mpibatch.cluster.environment import detect_launcher

    if path.suffix == ".py" or detect_launcher(os.environ) is not None:
        return False
    from mpibatch.config.document import read_document

    return "steps" in read_document(str(path))


def run(
    file: Path,
    sets: tuple[str, ...],
    output: Path | None,
    run_dir: Path | None,
    no_reuse: bool,
    **options: Any,
) -> ExitStatus:
    """Runs the steps in this process. options: those of a RunnerOptions."""
    from mpibatch.pipelines import commands
    from mpibatch.pipelines.directory import RunOptions

    asked = RunOptions(reuse=not no_reuse, ranks=options["ranks"])
    return commands.run(file, sets, output, run_dir, asked, _runner(options), os.environ, Console(sys.stderr).notify)


def _runner(options: dict[str, Any]) -> "RunnerOptions":
    from mpibatch.pipelines.runner import RunnerOptions
    from mpibatch.reporting.progress import ProgressMode

    return RunnerOptions(**{**options, "progress": ProgressMode(options["progress"])})


def is_run(path: Path) -> bool:
    """Whether `path` is the run directory of a pipeline."""
    from mpibatch.pipelines.directory import is_pipeline_run

    return is_pipeline_run(path)


def resume(run_dir: Path, sets: tuple[str, ...], **options: Any) -> ExitStatus:
    """Goes on with a run. options: those of a RunnerOptions."""
    from mpibatch.pipelines.directory import PipelineDirectory
    from mpibatch.pipelines.runner import run_pipeline

    if sets:
        raise UsageError(
            f"{run_dir} is the run of a pipeline: --set is for the run of one step, "
            f"`mpibatch resume {run_dir / 'steps' / 'NAME'}`"
        )
    directory, notify = PipelineDirectory(run_dir.absolute()), Console(sys.stderr).notify
    return run_pipeline(directory, os.environ, notify, _runner(options))


def clean(run_dir: Path) -> None:
    """Drops what only a resume would need of each parallel step that is this run's own."""
    from mpibatch.pipelines.directory import PipelineDirectory
    from mpibatch.pipelines.status import StepState, read_status
    from mpibatch.runs.clean import clean as drop

    directory = PipelineDirectory(run_dir.absolute())
    for step in read_status(directory).steps:
        if step.kind == "parallel" and step.state is StepState.COMPLETED:
            click.echo(f"step {step.name}: {drop(directory.step(step.name))}")


def build_submission(
    file: Path, sets: tuple[str, ...], output: Path | None, run_dir: Path | None, options: dict[str, Any]
) -> "Submission":
    """One job of Slurm for all steps."""
    from mpibatch.pipelines import commands

    return commands.build_submission(file, sets, output, run_dir, options, os.environ)


def followed(submission: "Submission") -> "FollowedPipeline":
    """Its run, for `submit --wait`."""
    from mpibatch.pipelines.commands import FollowedPipeline

    return FollowedPipeline(Path(submission.run_dir))


def validate(file: Path, sets: tuple[str, ...]) -> None:
    """Prints the order of the steps."""
    from mpibatch.config.pipeline import load_pipeline
    from mpibatch.pipelines.commands import describe
    from mpibatch.workspace.registered import RegisteredInWorkspace

    click.echo(describe(load_pipeline(file, sets, RegisteredInWorkspace(os.environ))))


def status(run_dir: Path, watch: bool, as_json: bool) -> None:
    """Prints where a run stands; `watch`: again and again until it has ended."""
    from mpibatch.pipelines.directory import PipelineDirectory
    from mpibatch.pipelines.status import as_text, read_status

    directory = PipelineDirectory(run_dir.absolute())
    while True:
        found = read_status(directory)
        if watch and not as_json and sys.stdout.isatty():
            click.clear()
        click.echo(json.dumps(asdict(found)) if as_json else as_text(directory, found))
        if not watch or found.state.has_ended:
            return
        time.sleep(REFRESH_SECONDS)


def report(run_dir: Path, output: Path | None) -> None:
    """Writes the report of a run, where a file is given to that."""
    from mpibatch.pipelines.directory import PipelineDirectory
    from mpibatch.pipelines.report import write_report

    click.echo(write_report(PipelineDirectory(run_dir.absolute()), output.absolute() if output is not None else None))


def list_runs(folder: Path) -> bool:
    """Prints the runs of pipelines in a folder, if there are some; whether there are."""
    from mpibatch.pipelines.listing import find_pipelines, pipelines_text

    found = find_pipelines(folder)
    if found:
        click.echo(pipelines_text(found))
    return bool(found)


def ensure_one_step(run_dir: Path, command: str) -> None:
    """Raises UsageError for the run of a pipeline: `command` is for one of its steps."""
    if is_run(run_dir):
        raise UsageError(
            f"{run_dir} is the run of a pipeline: `mpibatch status {run_dir}` shows its steps, and "
            f"`mpibatch {command} {run_dir / 'steps' / 'NAME'}` is for one of them"
        )
