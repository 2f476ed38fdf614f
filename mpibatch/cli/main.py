"""The program `mpibatch`: all commands, and what it says and returns when one goes wrong."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from mpibatch import __version__
from mpibatch.cli import looking, running, setting_up, submitting, workspace, writing
from mpibatch.cli.groups import PROGRAM, GroupedCommands
from mpibatch.errors import ExitStatus, MpibatchError
from mpibatch.escaping import escape_controls
from mpibatch.reporting.console import prepare_streams

DEBUG = "MPIBATCH_DEBUG"


@click.group(cls=GroupedCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name=PROGRAM)
def commands() -> None:
    """Runs a script with init() and run(mini_batch) over files or rows, on every GPU and core of an MPI allocation."""


for command in (
    running.run,
    running.resume,
    running.cancel,
    submitting.submit,
    writing.init,
    writing.import_azure,
    writing.validate,
    writing.debug,
    writing.schema,
    looking.status,
    looking.runs,
    looking.failures,
    looking.report,
    looking.clean,
    workspace.models,
    workspace.datastores,
    workspace.datasets,
    setting_up.doctor,
    setting_up.completion,
):
    commands.add_command(command)


def main() -> NoReturn:
    """The entry point: maps what went wrong to words and to an exit status."""
    prepare_streams()
    sys.exit(status_of(lambda: commands.main(prog_name=PROGRAM, standalone_mode=False)))


def status_of(command: Callable[[], Any]) -> int:
    """Runs a command; its exit status. Prints, in words, what went wrong."""
    try:
        returned = command()
    except click.exceptions.Abort:
        return ExitStatus.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return ExitStatus.USAGE
    except MpibatchError as error:
        click.echo(f"mpibatch: {escape_controls(str(error))}", err=True)
        return error.status
    except BrokenPipeError:
        from mpibatch.reporting.console import redirect_to_null

        redirect_to_null(sys.stdout)  # the reader is gone: nothing more to say to it
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
