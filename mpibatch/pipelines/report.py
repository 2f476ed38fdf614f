"""report.html of a pipeline: its steps, how each stands, and links to their reports and logs.

run.json, status.json, steps/*/status.json --write_report--> report.html
"""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from mpibatch.files import replacing
from mpibatch.pipelines.directory import PipelineDirectory, PipelineRecord
from mpibatch.pipelines.status import PipelineState, StepStatus, duration, read_status, step_progress
from mpibatch.reporting import assets, text

RELOAD_SECONDS = 5
_STREAMS = ("stdout", "stderr")


def write_report(directory: PipelineDirectory, path: Path | None = None) -> Path:
    """Replaces report.html, or `path`; where it is. Raises RunDirectoryError, OSError."""
    path = path or directory.report
    with replacing(path, durable=False) as file:
        file.write(render(directory, path.parent).encode("utf-8", "backslashreplace"))
    return path


def render(directory: PipelineDirectory, beside: Path) -> str:
    """The page. beside: the folder in which it will be, from which its links lead."""
    status = read_status(directory)
    at_work = not status.state.has_ended
    path = text.printable(str(directory.path))
    ends_well = status.state in (PipelineState.COMPLETED, PipelineState.CANCELED)
    return _template().render(
        name=status.name or directory.path.name,
        directory=path,
        record=PipelineRecord.read(directory),
        status=status,
        done=sum(step.state.is_complete for step in status.steps),
        rows=[_row(directory, step, beside) for step in status.steps],
        reload_seconds=RELOAD_SECONDS if at_work else 0,
        written=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        next="" if at_work or ends_well else f"mpibatch resume {path}",
        pipeline=directory.pipeline_yaml.read_text(encoding="utf-8", errors="backslashreplace"),
        printable=text.printable,
        printable_lines=text.printable_lines,
        style=_style(),
    )


def _row(directory: PipelineDirectory, step: StepStatus, beside: Path) -> dict[str, Any]:
    return {
        **asdict(step),
        "state": step.state.value,
        "time": duration(step.began, step.ended).strip(),
        "progress": step_progress(directory, step),
        "links": list(_links(directory, step, beside)),
    }


def _links(directory: PipelineDirectory, step: StepStatus, beside: Path) -> Iterator[tuple[str, str]]:
    """Titles, and where what they name lies from the page."""
    run = directory.step(step.name)
    named = [("report", run.report), ("outputs", run.outputs)]
    if step.kind == "script":
        named += [
            (stream, log)
            for stream in _STREAMS
            for log in sorted((run.path / "logs" / "user" / stream).glob("*/*.txt"))
        ]
    for title, path in named:
        if path.exists():
            yield title, quote(os.path.relpath(path, beside))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(assets.read("pipeline.html.j2"))


def _style() -> Markup:
    return Markup(assets.read("report.css"))
