"""Arguments and options that several commands take, and the job that they name."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mpibatch.errors import UsageError

if TYPE_CHECKING:
    from mpibatch.config.schema import Job

run_directory = click.argument("run_dir", metavar="RUN_DIR", type=click.Path(path_type=Path))
as_json = click.option("--json", "as_json", is_flag=True, help="For other programs; keys in reporting/README.md.")
sets = click.option("--set", "sets", metavar="K=V", multiple=True, help="Override a parameter of the job file.")


def no_script(ctx: click.Context, param: click.Parameter, path: Path) -> Path:
    """The job file, unless it is the script that it should name. Raises UsageError."""
    if path.suffix == ".py":
        raise UsageError(
            f"{path} is a script; what is wanted here is a job file, which names the script, its inputs and settings. "
            "`mpibatch init NAME` makes a folder with one that runs as it is."
        )
    return path


job_file = click.argument("job_file", metavar="JOB.yaml", type=click.Path(path_type=Path), callback=no_script)

progress_mode = click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "lines", "json", "none"]),
    default="auto",
    help="How progress is shown; auto: a bar on a terminal, else lines at growing intervals.",
)

accept_changed = click.option(
    "--accept-changed-inputs", is_flag=True, help="Resume though inputs, side inputs or models have changed."
)

output_folder = click.option(
    "--output", type=click.Path(path_type=Path), help="Parent of the run directory, in place of `output`."
)
own_run_directory = click.option(
    "--run-dir", type=click.Path(path_type=Path), help="The run directory itself; a run in it is resumed."
)


def parse_job(path: Path, sets: tuple[str, ...]) -> "Job":
    """The job that a command is about. Raises JobFileError."""
    from mpibatch.config.load import load_job
    from mpibatch.workspace.registered import RegisteredInWorkspace

    return load_job(path, sets, RegisteredInWorkspace(os.environ))


def with_output(job: "Job", output: Path | None) -> "Job":
    """The job with another parent of its run directories, if one is given."""
    return job if output is None else replace(job, output=str(output.absolute()))
