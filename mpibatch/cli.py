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
    from mpibatch.config.schema import ParallelRunConfig
    from mpibatch.runs.record import Opened


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mpibatch")
def commands() -> None:
    """Runs a script with init() and run(mini_batch) over files or rows, on every GPU and core of an MPI allocation."""


sets = click.option("--set", "sets", metavar="K=V", multiple=True, help="Override a parameter of the job file.")
job_file = click.argument("job_file", metavar="JOB.yaml", type=click.Path(path_type=Path))

accept_changed = click.option(
    "--accept-changed-inputs", is_flag=True, help="Go on though inputs have changed since the plan was made."
)


@commands.command()
@job_file
@click.option("-n", "ranks", type=click.IntRange(min=1), help="Ranks [default: node_count x process_count_per_node].")
@sets
@click.option("--output", type=click.Path(path_type=Path), help="Parent of the run directory, in place of `output`.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run directory itself; gone on with if begun.")
@click.option("--restarts", type=click.IntRange(min=0), default=0, help="How often to start again if ranks die.")
@accept_changed
def run(
    job_file: Path,
    ranks: int | None,
    sets: tuple[str, ...],
    output: Path | None,
    run_dir: Path | None,
    restarts: int,
    accept_changed_inputs: bool,
) -> int:
    """Run a job. Started plainly it starts mpirun itself; started by mpirun or srun it is a rank."""

    def opening() -> "Opened":
        from mpibatch.config.load import load_job
        from mpibatch.runs.record import Opened, Wishes, begin_or_go_on

        job = load_job(job_file, sets)
        job = job if output is None else replace(job, output=str(output.absolute()))
        return Opened(*begin_or_go_on(job, run_dir), Wishes(accept_changed=accept_changed_inputs))

    return start(opening, ranks, restarts)


@commands.command()
@click.argument("run_dir", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.option("-n", "ranks", type=click.IntRange(min=1), help="Ranks; may be another number than before.")
@click.option("--set", "sets", metavar="K=V", multiple=True, help="Change a setting that does not change rows.")
@click.option("--retry-failed", is_flag=True, help="Run mini-batches with failed items again.")
@click.option("--restarts", type=click.IntRange(min=0), default=0, help="How often to start again if ranks die.")
@accept_changed
def resume(
    run_dir: Path,
    ranks: int | None,
    sets: tuple[str, ...],
    retry_failed: bool,
    restarts: int,
    accept_changed_inputs: bool,
) -> int:
    """Go on with a run that stopped."""

    def opening() -> "Opened":
        from mpibatch.runs.directory import RunDirectory
        from mpibatch.runs.record import Opened, Wishes, change

        directory = RunDirectory(run_dir.absolute())
        return Opened(change(directory, sets), directory, Wishes(retry_failed, accept_changed_inputs))

    return start(opening, ranks, restarts)


def start(opening: "Callable[[], Opened]", ranks: int | None, restarts: int) -> int:
    """As a rank where a launcher has started this process; else the launcher, or the one rank that needs none."""
    from mpibatch.placement.variables import launched_by

    if launched_by(os.environ) is not None:
        from mpibatch.mpi.session import run_rank

        return run_rank(opening, os.environ)
    opened = opening()
    ranks = ranks or wanted_ranks(opened.job.config)
    if ranks == 1:
        from mpibatch.mpi.session import run_rank

        return run_rank(lambda: opened, os.environ)
    from mpibatch.launching.launch import launch

    return launch(opened.directory, opened.wishes, ranks, restarts, os.environ)


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
