"""PipelineRun and StepRun: a run as programs see it, from whatever process, by its run directory alone."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpibatch.config.problems import suggest
from mpibatch.errors import MpibatchError, UsageError
from mpibatch.pipelines import detached
from mpibatch.pipelines.api.classes import api_class
from mpibatch.pipelines.api.plain_data import slug as folder_name
from mpibatch.pipelines.directory import PipelineDirectory, PipelineRecord, is_pipeline_run, read_outputs
from mpibatch.pipelines.report import write_report
from mpibatch.pipelines.status import PipelineState, PipelineStatus, StepState, StepStatus, read_status
from mpibatch.sdk.notices import notify

POLL_SECONDS = 0.2
TRACEBACK_LINES = 30

_STATES: dict[PipelineState | StepState, str] = {
    PipelineState.WAITING: "NotStarted",
    PipelineState.RUNNING: "Running",
    PipelineState.COMPLETED: "Finished",
    PipelineState.FAILED: "Failed",
    PipelineState.STOPPED: "Failed",
    PipelineState.CANCELED: "Canceled",
    StepState.WAITING: "NotStarted",
    StepState.RUNNING: "Running",
    StepState.COMPLETED: "Finished",
    StepState.REUSED: "Finished",
    StepState.FAILED: "Failed",
    StepState.STOPPED: "Canceled",
    StepState.SKIPPED: "Canceled",
}


class PipelineRunError(MpibatchError):
    """A run that was waited for has failed, or was cancelled; says why, with the first traceback."""


class PipelineRun:
    """experiment: the one it belongs to. run_id: the name of its run directory. Raises UsageError without one."""

    def __init__(self, experiment: Any, run_id: str, **ignored: Any) -> None:
        self.experiment = experiment
        self.id = run_id
        self.directory = _locate(experiment, run_id)

    def __repr__(self) -> str:
        return f"PipelineRun(Experiment: {self.experiment.name}, Id: {self.id}, Status: {self.get_status()})"

    @staticmethod
    def get(workspace: Any, run_id: str) -> "PipelineRun":
        """The run of that id, of whatever experiment. Raises UsageError without one."""
        for folder in sorted(Path(workspace.home, "runs").glob(f"*/{run_id}")):
            return PipelineRun(api_class("Experiment")(workspace, folder.parent.name), run_id)
        raise UsageError(f"there is no run {run_id!r} in {Path(workspace.home, 'runs')}")

    @property
    def status(self) -> str:
        return self.get_status()

    def get_status(self) -> str:
        """NotStarted, Running, Finished, Failed or Canceled."""
        return _STATES[read_status(self.directory).state]

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """Until the run has ended: "Finished". Ctrl-C ends the wait alone.

        show_output: what the run says is printed meanwhile
        Raises PipelineRunError where it has failed or was cancelled (unless raise_on_error is False), TimeoutError.
        """
        until = time.monotonic() + timeout_seconds
        shown = 0
        try:
            while True:
                status = read_status(self.directory)
                if show_output:
                    shown = self._show(shown)
                if status.state.has_ended:
                    break
                if time.monotonic() > until:
                    raise TimeoutError(f"run {self.id} has not ended within {timeout_seconds:g} s; it goes on")
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            notify(f"run {self.id} goes on; run.cancel(), or `mpibatch cancel {self.directory.path}`, ends it")
            raise
        if show_output:
            self._show(shown)
        if raise_on_error and status.state is not PipelineState.COMPLETED:
            raise PipelineRunError(f"run {self.id}: {status.state}: {status.reason}{self._traceback(status)}")
        return _STATES[status.state]

    def cancel(self) -> None:
        """The running step ends in order, and no other begins."""
        detached.cancel(self.directory)

    def get_portal_url(self) -> str:
        """Of the report."""
        if not self.directory.report.exists():  # it waits in a queue
            write_report(self.directory)
        return self.directory.report.as_uri()

    def get_steps(self) -> Iterator["StepRun"]:
        """The steps, latest first."""
        names = self._record.names
        for status in reversed(read_status(self.directory).steps):
            yield StepRun(self, status.name, names.get(status.name, status.name))

    def get_children(self, **ignored: Any) -> Iterator["StepRun"]:
        """The same."""
        return self.get_steps()

    def find_step_run(self, name: str) -> list["StepRun"]:
        """Those called so; [] for none."""
        return [step for step in self.get_steps() if name in (step.name, step.slug)]

    def get_pipeline_output(self, pipeline_output_name: str) -> "StepRunOutput":
        """The output of that name, of whatever step. Raises UsageError without one."""
        for step in self.get_steps():
            if pipeline_output_name in step.output_names:
                return step.get_output_data(pipeline_output_name)
        there = [name for step in self.get_steps() for name in step.output_names]
        raise UsageError(
            f"run {self.id} has no output {pipeline_output_name!r}; {suggest(pipeline_output_name, there)}"
        )

    @property
    def tags(self) -> dict[str, str]:
        return dict(self._record.tags)

    def get_tags(self) -> dict[str, str]:
        return self.tags

    def tag(self, key: str, value: str | None = None) -> None:
        """Kept with the run."""
        record = self._record
        replace(record, tags={**record.tags, str(key): str(value)}).write(self.directory)

    set_tags = tag

    def publish_pipeline(self, name: str, description: str = "", version: str | None = None, **ignored: Any) -> Any:
        """Keeps the pipeline of this run in the workspace, to be submitted by name."""
        from mpibatch.config.document import read_document

        data = read_document(str(self.directory.pipeline_yaml))
        pipeline = api_class("Pipeline").from_data(self.experiment.workspace, data, self._record.folder)
        return api_class("PublishedPipeline").keep(pipeline, name, description, version)

    @property
    def _record(self) -> PipelineRecord:
        return PipelineRecord.read(self.directory)

    def _show(self, shown: int) -> int:
        """Prints what the log has after its first `shown` bytes; how many it has now."""
        if not self.directory.log.exists():
            return shown
        with self.directory.log.open("rb") as log:
            log.seek(shown)
            text = log.read()
        print(text.decode("utf-8", "replace"), end="", flush=True)
        return shown + len(text)

    def _traceback(self, status: PipelineStatus) -> str:
        """What the first failed item, or the script, said last."""
        for step in status.steps:
            logs = self.directory.step(step.name).path / "logs" / "user"
            if step.state is StepState.FAILED:
                errors = [logs / "error.txt", *sorted(logs.glob("stderr/*/*.txt"))]
                texts = [path.read_text(encoding="utf-8", errors="replace").strip() for path in errors if path.exists()]
                if said := next((text for text in texts if text), ""):
                    lines = said.split("\n\n")[0].splitlines()
                    return "\n" + "\n".join(lines[-TRACEBACK_LINES:])
        return ""


def _locate(experiment: Any, run_id: str) -> PipelineDirectory:
    """Where a run is: around the step in which this process works, else below the experiment's folder.

    Raises UsageError where there is none.
    """
    folder = Path(experiment.workspace.home, "runs", folder_name(experiment.name, "experiment"))
    own = Path(os.environ.get("MPIBATCH_RUN_DIR", "/")).parents[1:2]
    for path in [*(path for path in own if path.name == run_id), folder / run_id]:
        if is_pipeline_run(path):
            return PipelineDirectory(path)
    raise UsageError(f"there is no run {run_id!r} in {folder}")


class StepRun:
    """A step of a run.

    name: as the program calls it; slug: its folder
    """

    def __init__(self, run: PipelineRun, slug: str, name: str) -> None:
        self.parent = run
        self.slug = slug
        self.name = name
        self._outputs = read_outputs(run.directory, slug)
        self.id = f"{run.id}-{slug}"
        self.directory = run.directory.step(slug)

    def __repr__(self) -> str:
        return f"StepRun(Name: {self.name}, Id: {self.id}, Status: {self.get_status()})"

    @property
    def experiment(self) -> Any:
        return self.parent.experiment

    @property
    def output_names(self) -> list[str]:
        return list(self._outputs)

    @property
    def status(self) -> str:
        return self.get_status()

    @property
    def is_reused(self) -> bool:
        """Whether an earlier output was taken."""
        return self._status.state is StepState.REUSED

    def get_status(self) -> str:
        return _STATES[self._status.state]

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """Until the step has ended. Raises PipelineRunError where it did not complete, TimeoutError."""
        until = time.monotonic() + timeout_seconds
        while self._status.state in (StepState.WAITING, StepState.RUNNING):
            if read_status(self.parent.directory).state.has_ended:
                break
            if time.monotonic() > until:
                raise TimeoutError(f"step {self.name} has not ended within {timeout_seconds:g} s")
            time.sleep(POLL_SECONDS)
        status = self._status
        if raise_on_error and not status.state.is_complete:
            raise PipelineRunError(f"step {self.name}: {status.state}: {status.reason}")
        return _STATES[status.state]

    def get_output_data(self, name: str) -> "StepRunOutput":
        """An output. Raises UsageError where the step has none of the name."""
        if self._outputs and name not in self._outputs:
            raise UsageError(f"step {self.name} has no output {name!r}; {suggest(name, self._outputs)}")
        return StepRunOutput(self, name, self._outputs.get(name, ""))

    def get_outputs(self) -> dict[str, "StepRunOutput"]:
        return {name: self.get_output_data(name) for name in self._outputs}

    def get_portal_url(self) -> str:
        return (self.directory.path / "report.html").as_uri()

    @property
    def _status(self) -> StepStatus:
        steps = read_status(self.parent.directory).steps
        return next((step for step in steps if step.name == self.slug), StepStatus(self.slug, ""))


class StepRunOutput:
    """What a step has put out under a name.

    path:              its folder
    path_on_datastore: below which `download` puts its files
    """

    def __init__(self, step: StepRun, name: str, inside: str) -> None:
        self.name = name
        self.path = step.directory.path / "outputs" / inside
        self.path_on_datastore = f"azureml/{step.id}/{name}"

    def __repr__(self) -> str:
        return f"StepRunOutput({self.name!r}, {str(self.path)!r})"

    def get_port_data_reference(self) -> "StepRunOutput":
        return self

    def download(
        self, local_path: str, overwrite: bool | None = None, show_progress: bool | None = None, **ignored: Any
    ) -> int:
        """Copies the files to `local_path/azureml/<step run id>/<output name>/`; how many. Existing ones stay unless
        `overwrite`."""
        target = Path(local_path, self.path_on_datastore)
        copied = 0
        for path in sorted(self.path.rglob("*")):
            copy = target / path.relative_to(self.path)
            if path.is_file() and (overwrite or not copy.exists()):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
                copied += 1
        return copied
