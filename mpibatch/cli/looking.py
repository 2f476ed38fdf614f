"""The commands that look at runs, and `mpibatch clean`: they read run directories and start nothing."""

import json
import shutil
import sys
import time
from pathlib import Path

import click

from mpibatch.cli import pipelines
from mpibatch.cli.options import as_json, run_directory
from mpibatch.errors import UsageError

WATCH_SECONDS = 1.0


def _columns() -> int | None:
    """Of the terminal; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@click.command()
@run_directory
@click.option("--watch", is_flag=True, help="Show it again every second, until the run has ended.")
@as_json
def status(run_dir: Path, watch: bool, as_json: bool) -> None:
    """Say where a run stands.

    From its files only, so from any machine that sees them.
    """
    if pipelines.is_run(run_dir):
        pipelines.status(run_dir, watch, as_json)
        return
    from mpibatch.reporting.status import LiveState, read_status, status_text

    while True:
        now = read_status(run_dir)
        if as_json:
            click.echo(json.dumps(now.to_json()))
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            click.echo(status_text(now, _columns() or 80))
        if not watch or now.state not in (LiveState.RUNNING, LiveState.STARTING, LiveState.WAITING):
            return
        time.sleep(WATCH_SECONDS)


@click.command()
@click.argument("folder", metavar="[FOLDER]", default="runs", type=click.Path(path_type=Path))
def runs(folder: Path) -> None:
    """List the runs in a folder, a line each.

    FOLDER is a job's `output`, "runs" unless given.
    """
    from mpibatch.reporting.status import find_runs, runs_text

    found = find_runs(folder)
    listed = pipelines.list_runs(folder)
    if not found and not listed:
        raise UsageError(f"{folder} holds no run directories")
    if found:
        click.echo(runs_text(found, _columns()))


@click.command()
@run_directory
@click.option(
    "--items", is_flag=True, help="Only the failed items' paths, for `path: {manifest: FILE}` of another job."
)
@as_json
def failures(run_dir: Path, items: bool, as_json: bool) -> None:
    """Show what failed, grouped by cause and by line of the script.

    One example of each, with its traceback.
    """
    pipelines.ensure_one_step(run_dir, "failures")
    from mpibatch.reporting.failures import failed_item_names, failures_json, failures_text
    from mpibatch.runs.directory import RunDirectory

    directory = RunDirectory(run_dir.absolute())
    if items:
        for name in failed_item_names(directory):
            click.echo(json.dumps(name) if as_json else name.encode("utf-8", "surrogateescape"))
    else:
        click.echo(json.dumps(failures_json(directory)) if as_json else failures_text(directory))


@click.command()
@run_directory
@click.option("--output", type=click.Path(path_type=Path), help="The file, in place of RUN_DIR/report.html.")
def report(run_dir: Path, output: Path | None) -> None:
    """Write report.html of a run, one file to look at or to send.

    A run rewrites its own every 30 s.
    """
    if pipelines.is_run(run_dir):
        pipelines.report(run_dir, output)
        return
    from mpibatch.reporting.report import report as write
    from mpibatch.runs.directory import RunDirectory

    directory = RunDirectory(run_dir.absolute())
    click.echo(write(directory, output.absolute() if output is not None else directory.report))


@click.command()
@run_directory
def clean(run_dir: Path) -> None:
    """Drop what only a resume, or another try of what failed, would need."""
    if pipelines.is_run(run_dir):
        pipelines.clean(run_dir)
        return
    from mpibatch.runs.clean import clean as drop
    from mpibatch.runs.directory import RunDirectory

    click.echo(drop(RunDirectory(run_dir.absolute())))
