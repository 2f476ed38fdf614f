"""The commands, one function each; what they do is elsewhere, and imported only when a command needs it."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mpibatch import __version__
from mpibatch.errors import ExitStatus, MpibatchError

if TYPE_CHECKING:
    from mpibatch.config.schema import Job, ParallelRunConfig
    from mpibatch.runs.directory import RunDirectory


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mpibatch")
def commands() -> None:
    """Runs a script with init() and run(mini_batch) over files or rows, on every GPU and core of an MPI allocation."""


sets = click.option("--set", "sets", metavar="K=V", multiple=True, help="Override a parameter of the job file.")
job_file = click.argument("job_file", metavar="JOB.yaml", type=click.Path(path_type=Path))


@commands.command()
@job_file
@click.option("-n", "ranks", type=click.IntRange(min=1), help="Ranks [default: node_count x process_count_per_node].")
@sets
@click.option("--output", type=click.Path(path_type=Path), help="Parent of the run directory, in place of `output`.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run directory itself.")
def run(job_file: Path, ranks: int | None, sets: tuple[str, ...], output: Path | None, run_dir: Path | None) -> int:
    """Run a job. Started plainly it starts mpirun itself; started by mpirun or srun it is a rank."""
    from mpibatch.placement.variables import launched_by

    def opening() -> "tuple[Job, RunDirectory]":
        from mpibatch.config.load import load_job
        from mpibatch.runs import record

        job = load_job(job_file, sets)
        job = job if output is None else replace(job, output=str(output.absolute()))
        return job, record.begin(job, run_dir, record.command_line())

    if launched_by(os.environ) is not None:
        from mpibatch.mpi.session import run_rank

        return run_rank(opening, os.environ)
    job, directory = opening()
    ranks = ranks or wanted_ranks(job.config)
    if ranks == 1:
        from mpibatch.mpi.session import run_rank

        return run_rank(lambda: (job, directory), os.environ)
    from mpibatch.launching.launch import launch

    return launch(directory, ranks, os.environ)


def wanted_ranks(config: "ParallelRunConfig") -> int:
    """What the job file asks for; `auto` counts this machine's GPUs or cores."""
    from mpibatch.placement import gpus
    from mpibatch.placement.place import Sight, allowed_cores, executors_per_node

    per_node = config.process_count_per_node
    if per_node is None:
        environment = {**os.environ, **config.environment_variables}
        sight = Sight(gpus.visible(environment), allowed_cores())
        per_node = executors_per_node(sight, config.processes_per_gpu, config.device)
    return config.node_count * per_node


def main() -> NoReturn:
    """The entry point: maps what went wrong to words and to an exit status."""
    sys.exit(status_of(lambda: commands.main(standalone_mode=False)))


def status_of(command: Callable[[], Any]) -> int:
    """Runs a command; its exit status. Prints, in words, what went wrong."""
    try:
        returned = command()
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return ExitStatus.USAGE
    except MpibatchError as error:
        click.echo(f"mpibatch: {error}", err=True)
        return error.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader is gone: nothing more to say to it
        return ExitStatus.ERROR
    return int(returned or 0)
