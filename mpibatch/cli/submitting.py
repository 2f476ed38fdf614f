"""`mpibatch submit`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mpibatch.cli import pipelines
from mpibatch.cli.options import job_file, output_folder, own_run_directory, parse_job, sets, with_output
from mpibatch.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from mpibatch.launching.slurm_job import Followed


@click.command(short_help="Write a batch script for Slurm and submit it.")
@job_file
@sets
@output_folder
@own_run_directory
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
@click.option("--try", "try_it", is_flag=True, help="Run the first mini-batch here; submit only if it succeeds.")
@click.option("--dry-run", is_flag=True, help="Print the batch script, submit nothing.")
@click.option("--wait", is_flag=True, help="Follow the job to its end, requeues included; exit with the run's status.")
def submit(
    job_file: Path,
    sets: tuple[str, ...],
    output: Path | None,
    run_dir: Path | None,
    try_it: bool,
    dry_run: bool,
    wait: bool,
    **options: Any,
) -> int:
    """Write a batch script for Slurm and submit it; prints the job's id and the run directory.

    A run that stops early goes back into the queue, and resumes where it stopped.
    """
    from mpibatch.launching.batch_script import render
    from mpibatch.launching.followed_run import FollowedRun
    from mpibatch.launching.submission import build_submission, submit
    from mpibatch.launching.trial import try_first

    if pipelines.holds_steps(job_file):
        if try_it:
            raise UsageError("--try is for a job of one step: the input of a later one is not there yet")
        submission = pipelines.build_submission(job_file, sets, output, run_dir, options)
        followed: Followed = pipelines.followed(submission)
    else:
        job = with_output(parse_job(job_file, sets), output)
        submission = build_submission(job, sets, run_dir, options)
        if try_it:
            click.echo(try_first(job, os.environ), err=True)
        followed = FollowedRun(Path(submission.run_dir))
    if dry_run:
        click.echo(render(submission), nl=False)
        return ExitStatus.COMPLETE
    return submit(submission, followed if wait else None, click.echo)
