"""What `submit --wait` sees of a run: how far it is, how it has ended, and, where that was no good end, why.

status.json --> a line of progress      summary.json --> the end, in the words in which `run` says it
logs/slurm-<job>.txt --> its last lines, where the run itself has not said why
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mpibatch.errors import ExitStatus, RunDirectoryError
from mpibatch.escaping import escape_controls
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.summary import RunState, Summary

TAIL_LINES = 15
TAIL_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class FollowedRun:
    """The run of a job in the run directory at `path`."""

    path: Path

    def progress(self) -> str:
        """How far it is, "" where nothing says so yet."""
        with suppress(RunDirectoryError):
            status = Summary.read_status(RunDirectory(self.path))
            return "" if status is None else status.progress_line
        return ""

    def end(self) -> RunState | None:
        """How it has ended; None where it has not said so. Raises RunDirectoryError."""
        summary = Summary.read(RunDirectory(self.path))
        return None if summary is None else summary.status

    def cause(self, status: ExitStatus) -> str:
        """Why it ended with `status`, as far as it has said so itself; "" else. Raises RunDirectoryError."""
        directory = RunDirectory(self.path)
        summary = Summary.read(directory)
        if summary is None or summary.status.exit_status is not status:  # the summary of an earlier allocation
            return ""
        from mpibatch.reporting.ending import end_text  # NumPy comes with it

        report = str(directory.report) if directory.report.exists() else f"mpibatch report {self.path}"
        return end_text(summary, directory, None, [], report)


def tail(log: Path) -> str:
    """The last lines of a job's log, and where it is."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "backslashreplace").splitlines()
    except OSError as error:
        return f"its log {log} cannot be read: {error.strerror}"
    last = [f"    {escape_controls(line)[:1000]}" for line in lines if line.strip()][-TAIL_LINES:]
    return "\n".join([f"the end of its log, {log}:", *(last or ["    (nothing)"])])
