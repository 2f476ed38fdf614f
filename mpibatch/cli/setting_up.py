"""The commands about this machine and this shell: `mpibatch doctor` and `completion`."""

import os

import click

from mpibatch.cli.groups import PROGRAM
from mpibatch.errors import MpibatchError, UsageError


@click.command()
@click.option("--try", "try_it", is_flag=True, help="Really start two ranks.")
def doctor(try_it: bool) -> int:
    """Say what a run would find on this machine.

    Which MPI, launcher, GPUs and Slurm, whether they fit, and what to mend. Exit status 2 where `run -n 2` would fail.
    """
    from mpibatch.launching.doctor import describe, examine, status

    findings = examine(os.environ, try_it)
    click.echo(describe(findings))
    return status(findings)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, options and paths.

    bash, in ~/.bashrc: eval "$(mpibatch completion bash)". zsh likewise. fish: mpibatch completion fish | source
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if kind is None:
        raise MpibatchError(f"there is no completion for {shell}")
    try:
        click.echo(kind(root, {}, PROGRAM, "_MPIBATCH_COMPLETE").source())
    except RuntimeError as error:  # a bash that is too old, or none
        raise UsageError(f"{error} (looked for {shell} on {os.environ.get('PATH', '')})") from None
