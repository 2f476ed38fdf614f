"""The commands for whoever writes a job: `mpibatch init`, `import`, `schema`, `validate` and `debug`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mpibatch.cli import pipelines
from mpibatch.cli.options import job_file, parse_job, sets
from mpibatch.errors import UsageError

if TYPE_CHECKING:
    from mpibatch.placement.assign import Placement


@click.command()
@click.argument("name", metavar="NAME")
def init(name: str) -> None:
    """Make a folder with a job to begin with.

    The job runs as it is; edit it from there.
    """
    from mpibatch.config.template import write_template

    folder = Path(name)
    for path in write_template(folder, folder.name):
        click.echo(path)
    click.echo(f"Next: mpibatch run {folder / 'job.yaml'} -n 2")


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("-o", "--out", "target", type=click.Path(path_type=Path), help="The file to write [standard output].")
def import_azure(file: Path, target: Path | None) -> None:
    """Turn a job file of Azure's into one of ours.

    A v1 parallel_run_config, or a v2 pipeline, parallel or command job with its components and MLTables. What has no
    counterpart is listed on stderr.
    """
    import yaml

    from mpibatch.importing.load import import_file

    made = import_file(file)
    text = yaml.safe_dump(made.data, sort_keys=False, allow_unicode=True, width=120)
    for note in made.notes:
        click.echo(f"mpibatch: {note}", err=True)
    if target is None:
        click.echo(text, nl=False)
    elif target.exists():
        raise UsageError(f"{target} is there already; choose another name")
    else:
        target.write_text(text, encoding="utf-8")
        click.echo(target)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the job file.

    Editors complete and check by it: `mpibatch init` puts it beside the job. Or `check-jsonschema --schemafile` does.
    """
    from mpibatch.config.json_schema import render

    click.echo(render(), nl=False)


@click.command()
@job_file
@sets
def validate(job_file: Path, sets: tuple[str, ...]) -> None:
    """Check a job without running it.

    Checks everything that can be checked, and prints the plan's shape and what the settings resolved to.
    """
    if pipelines.holds_steps(job_file):
        pipelines.validate(job_file, sets)
        return
    from mpibatch.placement.layout import place_node, requested_layout
    from mpibatch.planning.check import check
    from mpibatch.reporting.job_check import render

    checked = check(parse_job(job_file, sets), str(job_file))
    config = checked.job.config
    ranks = requested_layout(config, os.environ)
    try:
        placements: list[Placement] | str = place_node(config, ranks.per_node, os.environ)
    except UsageError as error:
        placements = str(error)
    click.echo(render(checked, str(job_file), ranks, placements))


@click.command()
@job_file
@click.option("--mini-batch", "index", metavar="K", type=click.IntRange(min=0), required=True, help="Which, from 0.")
@sets
def debug(job_file: Path, index: int, sets: tuple[str, ...]) -> int:
    """Run one mini-batch in this process.

    Without MPI and time limits, so that pdb and print work. Exit status 2 where the script fails.
    """
    from mpibatch.launching.debug import debug as run_here

    return run_here(parse_job(job_file, sets), index)
