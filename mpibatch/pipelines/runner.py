"""Runs the steps of a pipeline one after another, in the process that calls it, and says in status.json how far it is.

    for each step in order:  complete from before | a step that it needs has failed | an earlier output fits | run it
                                                                                          reuse.py      launching.run
                                                                                                        script_run.py
A failed step stops what depends on it. A signal stops the pipeline after the running step has stopped in order (exit
status 75); started again, it goes on with that step.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mpibatch.config.pipeline import begin_step
from mpibatch.config.pipeline_schema import Pipeline, ScriptStep, Step
from mpibatch.config.registered import Registered
from mpibatch.config.schema import Job
from mpibatch.errors import ExitStatus, MpibatchError
from mpibatch.launching.run import run as run_ranks
from mpibatch.liveness import lease
from mpibatch.pipelines import reuse
from mpibatch.pipelines.directory import PipelineDirectory, PipelineRecord, read_pipeline, refresh_sources
from mpibatch.pipelines.publish import publish
from mpibatch.pipelines.report import write_report
from mpibatch.pipelines.script_run import run_script
from mpibatch.pipelines.status import PipelineState, PipelineStatus, StepState, StepStatus, read_status, write_status
from mpibatch.pipelines.stop_requests import StopRequests, stop_requests
from mpibatch.placement.layout import requested_layout
from mpibatch.reporting.progress import Progress, ProgressMode
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.resume import ResumeOptions, RunContext, create_run, resume_with
from mpibatch.runs.summary import Summary
from mpibatch.workspace.home import HOME, find_home
from mpibatch.workspace.registered import RegisteredInWorkspace

EXPERIMENT = "MPIBATCH_EXPERIMENT"
"""What `Run.get_context().experiment` of a step's script is called."""

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """How one process runs what is left of a pipeline.

    ranks:          of every parallel step, in place of what was recorded
    restarts:       how often a parallel step is started again whose ranks die
    progress:       how that of parallel steps is shown
    retry_failed:   mini-batches with failed items of the step that has failed are run again
    accept_changed: a stopped step goes on though its inputs have changed
    keep_scripts:   those of the run's copy, though their sources have changed
    """

    ranks: int | None = None
    restarts: int = 0
    progress: ProgressMode = ProgressMode.AUTO
    retry_failed: bool = False
    accept_changed: bool = False
    keep_scripts: bool = False


def run_pipeline(
    directory: PipelineDirectory, env: Mapping[str, str], notify: Notify, options: RunnerOptions | None = None
) -> ExitStatus:
    """Runs what is left of a pipeline's run. In the main thread, since it handles signals.

    Raises RunInUse where another process runs it, UsageError where it is no run, RunDirectoryError.
    """
    options = options or RunnerOptions()
    record = PipelineRecord.read(directory)
    registered = RegisteredInWorkspace(env)
    before = read_status(directory)
    if before.state is PipelineState.COMPLETED:
        notify("this run is complete; there is nothing left to do")
        return ExitStatus.COMPLETE
    owner = lease.acquire(directory.path, notify=notify)
    try:
        if before.state.has_ended and not options.keep_scripts:
            done = {step.name for step in before.steps if step.state.is_complete}
            for line in refresh_sources(directory, record.sources, done):
                notify(line)
        pipeline = read_pipeline(directory, registered)
        directory.cancel.unlink(missing_ok=True)
        directory.summary.unlink(missing_ok=True)
        with stop_requests(directory.cancel) as stop:
            return _Runner(directory, pipeline, registered, record, options, env, notify, stop, before).run()
    finally:
        owner.release()


class _Runner:
    """One process's work on a run."""

    def __init__(
        self,
        directory: PipelineDirectory,
        pipeline: Pipeline,
        registered: Registered,
        record: PipelineRecord,
        options: RunnerOptions,
        env: Mapping[str, str],
        notify: Notify,
        stop: StopRequests,
        before: PipelineStatus,
    ) -> None:
        self._directory = directory
        self._pipeline = pipeline
        self._registered = registered
        self._record = record
        self._options = options
        self._ranks = options.ranks or record.ranks
        self._env = {**env, HOME: str(find_home(env)), EXPERIMENT: record.experiment or pipeline.settings.name}
        self._notify = notify
        self._stop = stop
        self._runs = directory.path.parent
        complete = {step.name: step for step in before.steps if step.state.is_complete}
        self._steps = {
            step.name: complete.get(step.name, StepStatus(step.name, step.kind.value)) for step in pipeline.steps
        }
        self._began = before.began or time.time()

    def run(self) -> ExitStatus:
        for number, step in enumerate(self._pipeline.steps, 1):
            if self._steps[step.name].state.is_complete:
                continue
            if self._stop.received:
                break
            if self._is_blocked(step):
                self._set(step, state=StepState.SKIPPED, reason="a step before it has failed")
                continue
            self._notify(f"step {step.name} ({number} of {len(self._pipeline.steps)})")
            self._run_step(step)
            if self._steps[step.name].state is StepState.STOPPED:
                break
        return self._end()

    def _is_blocked(self, step: Step) -> bool:
        failed = [name for name, status in self._steps.items() if status.state in (StepState.FAILED, StepState.SKIPPED)]
        if failed and not self._pipeline.settings.continue_on_step_failure:
            return True
        return any(name in failed for name in step.needs)

    def _run_step(self, step: Step) -> None:
        self._set(step, state=StepState.RUNNING, began=time.time(), reason="", ended=0, exit_status=0)
        try:
            status = self._reuse_or_run(step)
            if status is ExitStatus.COMPLETE:
                self._publish(step)
            reason = "" if status is ExitStatus.COMPLETE else self._reason(step, status)
        except MpibatchError as error:
            status, reason = error.status, str(error)
        if status is ExitStatus.COMPLETE:
            state = StepState.REUSED if self._steps[step.name].reused_from else StepState.COMPLETED
        elif status in (ExitStatus.STOPPED, ExitStatus.INTERRUPTED):
            state = StepState.STOPPED
        else:
            state = StepState.FAILED
            self._notify(f"step {step.name} has failed: {reason}")
        self._set(step, state=state, reason=reason, ended=time.time(), exit_status=int(status))

    def _reuse_or_run(self, step: Step) -> ExitStatus:
        path = self._directory.step(step.name).path
        digest = self._fingerprint(step)
        if digest is not None and self._record.reuse and not path.exists():
            earlier = reuse.find_earlier(self._runs, digest)
            if earlier is not None:
                path.symlink_to(os.path.relpath(earlier, path.parent))
                self._notify(f"step {step.name}: the same was done before; its output is taken from {earlier}")
                self._set(step, reused_from=str(earlier))
                return ExitStatus.COMPLETE
        ready = begin_step(self._pipeline, step, self._outputs(step, str(path / "outputs")), self._registered)
        if isinstance(ready, ScriptStep):
            folders = [output.folder for output in step.options.outputs if output.folder]
            status = run_script(ready, folders, path, self._env, self._stop)
        else:
            status = self._run_job(ready, path)
        if status is ExitStatus.COMPLETE and digest is not None and self._fingerprint(step) == digest:
            reuse.record(self._runs, digest, path)
        return status

    def _publish(self, step: Step) -> None:
        outputs = self._directory.step(step.name).outputs
        done = publish(step.options, outputs, self._directory.path.name, self._pipeline.folder, self._env)
        for line in done:
            self._notify(f"step {step.name}: {line}")

    def _run_job(self, job: Job, path: Path) -> ExitStatus:
        directory = RunDirectory(path)
        options = self._options
        resume = ResumeOptions(accept_changed=options.accept_changed)
        if directory.run_json.exists():
            job = resume_with(directory, job)
            resume = replace(resume, retry_failed=options.retry_failed)
        else:
            create_run(job, path, self._record.command)
        context = RunContext(job, directory, resume)
        ranks = self._ranks_of(job)
        with Progress(options.progress, sys.stdout) as progress:
            return run_ranks(lambda: progress.follow(context), ranks, options.restarts, self._env, self._notify)

    def _ranks_of(self, job: Job) -> int | None:
        """None for as many as the step says; fewer where there is a limit."""
        limit = self._record.max_ranks
        if self._ranks is not None or limit is None:
            return self._ranks
        wanted = requested_layout(job.config, self._env).total
        if wanted > limit:
            self._notify(f"step {job.name}: {limit} ranks, not {wanted}: so many processes may run on this machine")
        return min(wanted, limit)

    def _fingerprint(self, step: Step) -> str | None:
        """None where the step is not to be reused, by anyone."""
        ready = begin_step(self._pipeline, step, self._outputs(step, reuse.OWN_OUTPUT), self._registered)
        if not (ready.allow_reuse and self._pipeline.settings.allow_reuse):
            return None
        return reuse.fingerprint(ready, self._pipeline.settings.reuse)

    def _outputs(self, step: Step, own: str) -> dict[str, str]:
        """The output folders that `step` may refer to, where they really lie: a reused step's in an earlier run."""
        found = {name: str(self._directory.step(name).path.resolve() / "outputs") for name in self._steps}
        return {**found, step.name: own}

    def _reason(self, step: Step, status: ExitStatus) -> str:
        with suppress(MpibatchError):
            summary = Summary.read(self._directory.step(step.name))
            if summary is not None and summary.reason:
                return summary.reason
        return f"exit status {int(status)}: what was said is in {self._directory.log}, or above"

    def _set(self, step: Step, **changes: object) -> None:
        self._steps[step.name] = replace(self._steps[step.name], **changes)  # type: ignore[arg-type]
        self._write(PipelineState.RUNNING, "", ExitStatus.COMPLETE)

    def _write(self, state: PipelineState, reason: str, exit_status: ExitStatus) -> None:
        ended = time.time() if state.has_ended else 0
        steps = tuple(self._steps.values())
        name = self._pipeline.settings.name
        write_status(self._directory, PipelineStatus(name, state, reason, steps, self._began, ended, int(exit_status)))
        try:
            write_report(self._directory)
        except (MpibatchError, OSError) as error:  # no failure of the run
            self._notify(f"warning: the report is not written: {error}")

    def _end(self) -> ExitStatus:
        steps = self._steps.values()
        failed = [step for step in steps if step.state is StepState.FAILED]
        if all(step.state.is_complete for step in steps):
            state, reason, status = PipelineState.COMPLETED, "", ExitStatus.COMPLETE
        elif self._directory.cancel.exists():
            state, reason, status = PipelineState.CANCELED, "it was cancelled", ExitStatus.ABORTED
        elif self._stop.received or any(step.state is StepState.STOPPED for step in steps):
            state, status = PipelineState.STOPPED, ExitStatus.STOPPED
            reason = f"stopped early: `mpibatch resume {self._directory.path}` goes on"
        else:
            state, status = PipelineState.FAILED, ExitStatus(failed[0].exit_status)
            reason = f"step {failed[0].name}: {failed[0].reason}"
        # said before the status says so: who waits for that shows what was said, and goes
        self._notify(f"pipeline {self._pipeline.settings.name} {state}{f': {reason}' if reason else ''}")
        self._write(state, reason, status)
        return status
