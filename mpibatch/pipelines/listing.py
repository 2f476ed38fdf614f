"""`mpibatch runs` for pipelines: a line a run, with the state of each of its steps."""

import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from mpibatch.errors import MpibatchError
from mpibatch.pipelines.directory import PipelineDirectory, PipelineRecord, is_pipeline_run
from mpibatch.pipelines.status import read_status
from mpibatch.reporting.text import duration, printable


def find_pipelines(folder: Path) -> list[PipelineDirectory]:
    """The runs of pipelines directly below `folder`, oldest first."""
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return [PipelineDirectory(path.absolute()) for path in paths if is_pipeline_run(path)]


def pipelines_text(runs: list[PipelineDirectory]) -> str:
    """A line a run under a head line."""
    rows = [("RUN", "NAME", "STATE", "AGE", "STEPS")]
    for directory in runs:
        with suppress(MpibatchError):  # a damaged one: `mpibatch status` says what is wrong with it
            status = read_status(directory)
            created = datetime.fromisoformat(PipelineRecord.read(directory).created).timestamp()
            steps = ", ".join(f"{step.name} {step.state}" for step in status.steps)
            age = duration(max(0.0, time.time() - created))
            rows.append((printable(directory.path.name), status.name or "-", status.state.value, age, steps or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
