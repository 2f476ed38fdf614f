"""RunDetails: how a run stands, in a notebook live, elsewhere as lines. It returns at once."""

import html
import threading
import time
from typing import Any

from mpibatch.config.pipeline_schema import StepKind
from mpibatch.errors import MpibatchError
from mpibatch.pipelines.directory import PipelineDirectory
from mpibatch.pipelines.status import StepState, StepStatus, as_text, duration, read_status
from mpibatch.reporting.notebook import run_html
from mpibatch.runs.directory import RunDirectory

REFRESH_SECONDS = 1.0


class RunDetails:
    """run: a PipelineRun, or one of its steps."""

    def __init__(self, run: Any) -> None:
        self._run = getattr(run, "parent", None) or run

    def show(self, **ignored: Any) -> None:
        """In a notebook the table follows the run while the notebook is open."""
        display = _notebook()
        if display is None:
            print(as_text(self._run.directory, read_status(self._run.directory)), flush=True)
            return
        handle = display(_Html(self._table()), display_id=True)
        threading.Thread(target=self._follow, args=(handle,), name="mpibatch-details", daemon=True).start()

    def _follow(self, handle: Any) -> None:
        while not read_status(self._run.directory).state.has_ended:
            time.sleep(REFRESH_SECONDS)
            handle.update(_Html(self._table()))
        handle.update(_Html(self._table()))

    def _table(self) -> str:
        return as_html(self._run.directory)


def as_html(directory: PipelineDirectory) -> str:
    """The steps as a table, and each parallel step that has begun as a job's run is shown."""
    status = read_status(directory)
    rows = "".join(
        f"<tr><td>{html.escape(step.name)}</td><td>{step.state}</td>"
        f"<td>{html.escape(duration(step.began, step.ended).strip())}</td><td>{html.escape(step.reason)}</td></tr>"
        for step in status.steps
    )
    head = f"{html.escape(status.name)}: {status.state}, {html.escape(status.progress_line)}"
    reason = f"<pre>{html.escape(status.reason)}</pre>" if status.reason else ""
    table = f"<p>{head}</p><table><tr><th>step</th><th>state</th><th>time</th><th></th></tr>{rows}</table>{reason}"
    return table + "".join(_run_html(directory.step(step.name)) for step in status.steps if _is_shown(step))


def _is_shown(step: StepStatus) -> bool:
    return step.kind == StepKind.PARALLEL and step.state in (StepState.RUNNING, StepState.COMPLETED, StepState.FAILED)


def _run_html(run: RunDirectory) -> str:
    """ "" for one that has just been made."""
    try:
        return run_html(run.path)
    except MpibatchError:
        return ""


class _Html:
    """What a notebook shows."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text


def _notebook() -> Any:
    """IPython's `display`, where a kernel runs this; else None."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    shell = get_ipython()
    return display if shell is not None and shell.has_trait("kernel") else None
