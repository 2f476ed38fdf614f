"""status.json and summary.json of a pipeline: the same keys, one rewritten when something changes, one at the end.

The runner alone writes them; `read_status` says, in any process, where a run stands.
"""

import shlex
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from mpibatch.config.document import read_document
from mpibatch.config.pipeline_schema import StepKind
from mpibatch.config.serialize import decode
from mpibatch.errors import ExitStatus, RunDirectoryError
from mpibatch.files import read_json, write_json
from mpibatch.liveness.lease import read_owner
from mpibatch.pipelines.directory import KIND, PipelineDirectory
from mpibatch.reporting import text
from mpibatch.runs.summary import RunState, Summary


class StepState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    REUSED = "reused"
    FAILED = "failed"
    STOPPED = "stopped"
    SKIPPED = "skipped"  # a step that it needs has failed

    @property
    def is_complete(self) -> bool:
        return self in (StepState.COMPLETED, StepState.REUSED)


class PipelineState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELED = "canceled"

    @property
    def has_ended(self) -> bool:
        return self not in (PipelineState.WAITING, PipelineState.RUNNING)


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step.

    began, ended: UTC seconds since 1970; 0 for not yet
    reused_from:  run directory whose output was taken; "" where none was
    exit_status:  of a step that has ended
    """

    name: str
    kind: str
    state: StepState = StepState.WAITING
    reason: str = ""
    began: float = 0
    ended: float = 0
    reused_from: str = ""
    exit_status: int = 0


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """The whole run. exit_status: of a run that has ended."""

    name: str
    state: PipelineState
    reason: str
    steps: tuple[StepStatus, ...] = field(default=())
    began: float = 0
    ended: float = 0
    exit_status: int = 0
    kind: str = KIND

    @property
    def progress_line(self) -> str:
        """`2 of 3 steps complete, score is running`."""
        done = sum(step.state.is_complete for step in self.steps)
        running = [step.name for step in self.steps if step.state is StepState.RUNNING]
        return f"{done} of {len(self.steps)} steps complete" + "".join(f", {name} is running" for name in running)


def write_status(directory: PipelineDirectory, status: PipelineStatus) -> None:
    """As what is true by now; and as the end, where it is one. Raises RunDirectoryError."""
    write_json(directory.status, asdict(status), durable=False)
    if status.state.has_ended:
        write_json(directory.summary, asdict(status))


def read_status(directory: PipelineDirectory) -> PipelineStatus:
    """Where the run stands. One whose runner is gone without a word has stopped. Raises RunDirectoryError."""
    if not directory.status.exists():
        return _waiting(directory)
    status = _read(directory.status)
    if status.state.has_ended:
        return status
    owner = read_owner(directory.path)
    if owner is None or (owner.is_local() and not owner.is_alive()):
        status = _read(directory.status)  # it may have ended meanwhile
        if not status.state.has_ended:
            return _stopped(status)
    return status


def as_text(directory: PipelineDirectory, status: PipelineStatus) -> str:
    """A line for the run, and one a step; why it has not completed, and what goes on with it."""
    lines = [f"{status.name or directory.path.name}: {status.state}, {status.progress_line}"]
    for step in status.steps:
        progress = step_progress(directory, step)
        lines.append(
            f"  {step.name}: {step.state}{duration(step.began, step.ended)}{f', {progress}' if progress else ''}"
        )
        if step.reused_from:
            lines.append(f"    the output is that of {step.reused_from}")
        elif step.reason:
            lines.append(f"    {text.printable(step.reason.splitlines()[0])}")
    lines.append(f"  run directory {directory.path}")
    label = {PipelineState.FAILED: "once mended", PipelineState.STOPPED: "go on"}.get(status.state)
    if label is not None:
        lines.append(f"  {label:13} mpibatch resume {shlex.quote(str(directory.path))}")
    if directory.report.exists():
        lines.append(f"  report        {directory.report}")
    return "\n".join(lines)


def duration(began: float, ended: float) -> str:
    """` 12 s`, so far where it has not ended; "" for what has not begun."""
    return f" {text.duration(max(0.0, (ended or time.time()) - began))}" if began else ""


def step_progress(directory: PipelineDirectory, step: StepStatus) -> str:
    """`12/30 mini-batches (40%), ...` of a parallel step at work, its counts once it has ended; "" of any other."""
    if step.kind != StepKind.PARALLEL or step.state in (StepState.WAITING, StepState.SKIPPED):
        return ""
    try:
        run = directory.step(step.name)
        summary = Summary.read(run) or Summary.read_status(run)
    except RunDirectoryError:
        return ""
    if summary is None:
        return ""
    if summary.status is RunState.RUNNING:
        return text.progress(summary)
    failed = f", {summary.items.failed} failed" if summary.items.failed else ""
    return f"{summary.mini_batches.total} mini-batches, {summary.items.succeeded} items{failed}"


def _waiting(directory: PipelineDirectory) -> PipelineStatus:
    """Of a run that no runner has begun, or that is not even made."""
    if not directory.pipeline_yaml.exists():
        return PipelineStatus("", PipelineState.WAITING, "")
    document = read_document(str(directory.pipeline_yaml))
    steps = tuple(
        StepStatus(step["name"], (StepKind.SCRIPT if "script" in step else StepKind.PARALLEL).value)
        for step in document["steps"]
    )
    return PipelineStatus(document["name"], PipelineState.WAITING, "", steps)


def _stopped(status: PipelineStatus) -> PipelineStatus:
    reason = "the process that ran it is gone; `mpibatch resume` goes on"
    return PipelineStatus(status.name, PipelineState.STOPPED, reason, status.steps, status.began, 0, ExitStatus.STOPPED)


def _read(path: Path) -> PipelineStatus:
    return decode(PipelineStatus, read_json(path), str(path))
