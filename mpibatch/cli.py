"""The commands, one function each; what they do is elsewhere, and imported only when a command needs it."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mpibatch import __version__
from mpibatch.errors import ExitStatus, MpibatchError, UsageError
from mpibatch.reporting.console import print_anything

if TYPE_CHECKING:
    from mpibatch.config.schema import Job
    from mpibatch.placement.place import Placement
    from mpibatch.runs.record import Opened

DEBUG = "MPIBATCH_DEBUG"
INTERRUPTED = 130  # as a shell has it: 128 + SIGINT


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
    """Run a job.

    Started plainly it starts mpirun itself; started by mpirun or srun it is a rank.
    """

    def opening() -> "Opened":
        from mpibatch.runs.record import Opened, Wishes, begin_or_go_on

        job = redirected(job_in(job_file, sets), output)
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


@commands.command()
@click.argument("run_dir", metavar="RUN_DIR", type=click.Path(path_type=Path))
def clean(run_dir: Path) -> None:
    """Drop what only a resume, or another try of what failed, would need."""
    from mpibatch.runs.clean import clean as drop
    from mpibatch.runs.directory import RunDirectory

    click.echo(drop(RunDirectory(run_dir.absolute())))


def start(opening: "Callable[[], Opened]", ranks: int | None, restarts: int) -> int:
    """As a rank where a launcher has started this process; else the launcher, or the one rank that needs none."""
    from mpibatch.mpi.lifeline import Lifeline
    from mpibatch.placement import limits
    from mpibatch.placement.ranks import wanted_ranks
    from mpibatch.placement.variables import launched_by

    launcher = launched_by(os.environ)
    if launcher is not None:
        lifeline = Lifeline.to_parent(limits.together(launcher.size or 0, os.environ))
        from mpibatch.mpi.session import run_rank

        size = launcher.size
        return run_rank(lambda: warned(opening(), size or ranks or 1, ranks), os.environ, lifeline)
    if ranks != 1:
        from mpibatch.launching.launch import launch
        from mpibatch.launching.mpi import Finding

        finding = Finding(os.environ)  # other processes look for MPI while this one reads the job
        opened = opening()
        asked, ranks = ranks, ranks or wanted_ranks(opened.job.config, os.environ).total
        warned(opened, ranks, asked)
        if ranks > 1:
            return launch(opened.directory, opened.wishes, finding.result(), ranks, restarts, os.environ)
    else:
        opened = opening()
    from mpibatch.mpi.session import run_rank

    return run_rank(lambda: opened, os.environ, Lifeline.none())


def warned(opened: "Opened", ranks: int, asked: int | None) -> "Opened":
    """The same; the user is told where what was asked for and what there is disagree."""
    from mpibatch.placement.ranks import disagreements

    for line in disagreements(ranks, asked, opened.job.config, os.environ):
        click.echo(f"mpibatch: warning: {line}", err=True)
    return opened


@commands.command(short_help="Write a batch script for Slurm and submit it.")
@job_file
@sets
@click.option("--output", type=click.Path(path_type=Path), help="Parent of the run directory, in place of `output`.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run directory itself; gone on with if begun.")
@click.option("--nodes", type=click.IntRange(min=1), help="Nodes [default: node_count].")
@click.option("--time", help="Time limit, such as 30 (minutes) or 2:00:00; the run stops before it and is requeued.")
@click.option("--partition", help="Partition.")
@click.option("--account", help="Account.")
@click.option("--qos", help="Quality of service.")
@click.option("--memory", help="Memory of each node, such as 16G.")
@click.option("--gpus", help="GPUs of each node: 2, or with their type a100:2.")
@click.option("--constraint", help="Features that the nodes must have.")
@click.option("--mail", help="Address that is told when the job ends or fails.")
@click.option("--option", "extra", metavar="TEXT", multiple=True, help="More for sbatch, such as --option=--nice=10.")
@click.option("--module", "modules", multiple=True, help="Loaded in the job with `module load`.")
@click.option("--setup", metavar="COMMAND", multiple=True, help="Run in the job's shell before the program.")
@click.option("--prefix", metavar="WORDS", help='Put before the program: "srun --mpi=pmix apptainer exec image.sif".')
@click.option("--python", help="The interpreter that has mpibatch, if not this one; for instance in a container.")
@click.option("--dry-run", is_flag=True, help="Print the batch script, submit nothing.")
@click.option("--wait", is_flag=True, help="Follow the job to its end, requeues included; exit with the run's status.")
def submit(
    job_file: Path,
    sets: tuple[str, ...],
    output: Path | None,
    run_dir: Path | None,
    dry_run: bool,
    wait: bool,
    **options: Any,
) -> int:
    """Write a batch script for Slurm and submit it; prints the job's id and the run directory.

    A run that stops early goes back into the queue, and goes on where it stopped.
    """
    from mpibatch.launching.batch_script import render
    from mpibatch.launching.submission import draft, hand_over

    submission = draft(redirected(job_in(job_file, sets), output), sets, run_dir, options)
    if dry_run:
        click.echo(render(submission), nl=False)
        return ExitStatus.COMPLETE
    return hand_over(submission, wait, click.echo)


@commands.command()
@job_file
@sets
def validate(job_file: Path, sets: tuple[str, ...]) -> None:
    """Check a job without running it.

    Checks everything that can be checked, and prints the plan's shape and what the settings resolved to.
    """
    from mpibatch.placement.ranks import node_places, wanted_ranks
    from mpibatch.reporting.shape import describe
    from mpibatch.runs.check import check

    checked = check(job_in(job_file, sets), str(job_file))
    config = checked.job.config
    ranks = wanted_ranks(config, os.environ)
    try:
        places: list[Placement] | str = node_places(config, ranks.per_node, os.environ)
    except UsageError as error:
        places = str(error)
    click.echo(describe(checked, str(job_file), ranks, places))


@commands.command()
@job_file
@click.option("--mini-batch", "index", metavar="K", type=click.IntRange(min=0), required=True, help="Which, from 0.")
@sets
def debug(job_file: Path, index: int, sets: tuple[str, ...]) -> int:
    """Run one mini-batch in this process.

    Without MPI and time limits, so that pdb and print work. Exit status 2 where the script fails.
    """
    from mpibatch.execution.debug import debug as run_here

    return run_here(job_in(job_file, sets), index)


@commands.command()
@click.option("--try", "try_it", is_flag=True, help="Really start two ranks.")
def doctor(try_it: bool) -> int:
    """Say what a run would find on this machine.

    Which MPI, launcher, GPUs and Slurm, whether they fit, and what to mend. Exit status 2 where `run -n 2` would fail.
    """
    from mpibatch.launching.doctor import describe, examine, status

    findings = examine(os.environ, try_it)
    click.echo(describe(findings))
    return status(findings)


@commands.command()
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


def job_in(path: Path, sets: tuple[str, ...]) -> "Job":
    """The job that a command is about. Raises JobFileError."""
    from mpibatch.config.load import load_job

    return load_job(path, sets)


def redirected(job: "Job", output: Path | None) -> "Job":
    """The job with another parent of its run directories, if one is given."""
    return job if output is None else replace(job, output=str(output.absolute()))


def main() -> NoReturn:
    """The entry point: maps what went wrong to words and to an exit status."""
    print_anything()
    sys.exit(status_of(lambda: commands.main(standalone_mode=False)))


def status_of(command: Callable[[], Any]) -> int:
    """Runs a command; its exit status. Prints, in words, what went wrong."""
    try:
        returned = command()
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return ExitStatus.USAGE
    except MpibatchError as error:
        click.echo(f"mpibatch: {error}", err=True)
        return error.status
    except BrokenPipeError:
        from mpibatch.reporting.console import silence

        silence(sys.stdout)  # the reader is gone: nothing more to say to it
        return ExitStatus.ERROR
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        click.echo(f"mpibatch: unexpected {type(error).__name__}: {error}. {_keep_traceback()}", err=True)
        return ExitStatus.ERROR
    return int(returned or 0)


def _keep_traceback() -> str:
    """Puts the traceback of the exception at hand where it can be found; says where."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="mpibatch-error-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(traceback.format_exc())
    except OSError:
        return f"{DEBUG}=1 shows the traceback."
    return f"Its traceback is in {file.name}; {DEBUG}=1 shows it here."
