"""`mpibatch run`, `resume` and `cancel`: of a job, or of a pipeline."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mpibatch.cli import pipelines
from mpibatch.cli.options import (
    accept_changed,
    job_file,
    output_folder,
    own_run_directory,
    parse_job,
    progress_mode,
    run_directory,
    sets,
    with_output,
)
from mpibatch.errors import UsageError
from mpibatch.exiting import end_process
from mpibatch.reporting.console import Console

if TYPE_CHECKING:
    from mpibatch.runs.resume import RunContext

Notify = Callable[[str], None]


@click.command()
@job_file
@click.option("-n", "ranks", type=click.IntRange(min=1), help="Ranks [default: node_count x process_count_per_node].")
@sets
@output_folder
@own_run_directory
@click.option("--restarts", type=click.IntRange(min=0), default=0, help="How often to start again if ranks die.")
@progress_mode
@accept_changed
@click.option("--no-reuse", is_flag=True, help="Of a pipeline: run every step, though an earlier output would fit.")
def run(
    job_file: Path,
    ranks: int | None,
    sets: tuple[str, ...],
    output: Path | None,
    run_dir: Path | None,
    restarts: int,
    progress: str,
    accept_changed_inputs: bool,
    no_reuse: bool,
) -> int:
    """Run a job, or the steps of a pipeline.

    Started plainly it starts mpirun itself; started by mpirun or srun it is a rank.
    """
    if pipelines.holds_steps(job_file):
        return pipelines.run(
            job_file,
            sets,
            output,
            run_dir,
            no_reuse,
            ranks=ranks,
            restarts=restarts,
            progress=progress,
            accept_changed=accept_changed_inputs,
        )

    def make_context(notify: Notify) -> "RunContext":
        from mpibatch.runs.last_run import stopped_run
        from mpibatch.runs.resume import ResumeOptions, RunContext, create_or_resume

        job = with_output(parse_job(job_file, sets), output)
        if run_dir is None and (told := stopped_run(job)):
            notify(told)
        options = ResumeOptions(accept_changed=accept_changed_inputs)
        return RunContext(*create_or_resume(job, run_dir, accept_changed_inputs), options)

    return run_job(make_context, ranks, restarts, progress)


@click.command()
@run_directory
@click.option("-n", "ranks", type=click.IntRange(min=1), help="Ranks; may be another number than before.")
@click.option("--set", "sets", metavar="K=V", multiple=True, help="Change a setting that does not change rows.")
@click.option("--retry-failed", is_flag=True, help="Run mini-batches with failed items again.")
@click.option(
    "--script",
    type=click.Choice(["now", "copy"]),
    default="now",
    help="Of a pipeline: go on with the scripts as they are now, or with the run's copy of them.",
)
@click.option("--restarts", type=click.IntRange(min=0), default=0, help="How often to start again if ranks die.")
@progress_mode
@accept_changed
def resume(
    run_dir: Path,
    ranks: int | None,
    sets: tuple[str, ...],
    retry_failed: bool,
    script: str,
    restarts: int,
    progress: str,
    accept_changed_inputs: bool,
) -> int:
    """Resume a run that stopped: of a job, or of a pipeline, at the step that stopped."""
    if pipelines.is_run(run_dir):
        return pipelines.resume(
            run_dir,
            sets,
            ranks=ranks,
            restarts=restarts,
            progress=progress,
            retry_failed=retry_failed,
            accept_changed=accept_changed_inputs,
            keep_scripts=script == "copy",
        )
    if script == "copy":
        raise UsageError(f"{run_dir} is the run of one job, which keeps no copy of its script; runs of pipelines do")

    def make_context(notify: Notify) -> "RunContext":
        from mpibatch.runs.directory import RunDirectory
        from mpibatch.runs.resume import ResumeOptions, RunContext, override

        directory = RunDirectory(run_dir.absolute())
        return RunContext(override(directory, sets), directory, ResumeOptions(retry_failed, accept_changed_inputs))

    return run_job(make_context, ranks, restarts, progress)


@click.command()
@run_directory
def cancel(run_dir: Path) -> None:
    """End the run of a pipeline.

    On whatever machine it is: the running step ends in order, and no other begins.
    """
    from mpibatch.pipelines.detached import cancel as ask
    from mpibatch.pipelines.directory import PipelineDirectory

    if not pipelines.is_run(run_dir):
        raise UsageError(f"{run_dir} is no run of a pipeline; the run of one job ends by a signal (Ctrl-C, scancel)")
    ask(PipelineDirectory(run_dir.absolute()))


def run_job(make_context: "Callable[[Notify], RunContext]", ranks: int | None, restarts: int, mode: str) -> int:
    """As a rank where a launcher has started this process; else starts the ranks."""
    from mpibatch.cluster.environment import detect_launcher

    launcher = detect_launcher(os.environ)
    if launcher is None:
        from mpibatch.launching.run import run as start_ranks
        from mpibatch.reporting.progress import Progress, ProgressMode

        with Progress(ProgressMode(mode), sys.stdout) as progress:
            status = start_ranks(
                lambda: progress.follow(make_context(progress.notify)), ranks, restarts, os.environ, progress.notify
            )
        end_process(status)
    from mpibatch.liveness import timers
    from mpibatch.liveness.deadman import DeadmanSwitch

    deadman = DeadmanSwitch.start(timers.startup_timeout(launcher.size or 0, os.environ))
    from mpibatch.mpi.rank import run_rank

    size = launcher.size or ranks or 1

    def make_and_warn() -> "RunContext":
        from mpibatch.placement.layout import layout_warnings

        notify = Console(sys.stderr).notify
        context = make_context(notify)
        for line in layout_warnings(size, ranks, context.job.config, os.environ):
            notify(f"warning: {line}")
        return context

    return run_rank(make_and_warn, os.environ, deadman)
