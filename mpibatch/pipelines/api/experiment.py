"""Experiment: the name under which runs are kept; `submit` starts one that goes on by itself."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpibatch.config.pipeline_schema import Pipeline as CheckedPipeline
from mpibatch.errors import UsageError
from mpibatch.pipelines import commands, detached
from mpibatch.pipelines.api.plain_data import slug
from mpibatch.pipelines.api.run import PipelineRun
from mpibatch.pipelines.directory import RunOptions, create_run, is_pipeline_run
from mpibatch.runs.directory import new_run_name
from mpibatch.sdk.notices import notify
from mpibatch.sdk.run import Run
from mpibatch.sdk.run_target import LocalCompute, SlurmCompute


class Experiment:
    """workspace: where its runs are: below `runs/<name>` of the workspace's folder."""

    def __init__(self, workspace: Any, name: str, **ignored: Any) -> None:
        self.workspace = workspace
        self.name = name
        self.folder = Path(workspace.home) / "runs" / slug(name, "experiment")

    def __repr__(self) -> str:
        return f"Experiment(name={self.name!r}, workspace={self.workspace!r})"

    def submit(
        self,
        config: Any,
        tags: Mapping[str, Any] | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        regenerate_outputs: bool = False,
        continue_on_step_failure: bool = False,
        **ignored: Any,
    ) -> PipelineRun:
        """Starts a run of a Pipeline, or of a published one, and returns at once; the run outlives this process.

        pipeline_parameters: values in place of the defaults
        regenerate_outputs:  no step takes an earlier output
        Raises JobFileError with all problems, UsageError.
        """
        pipeline = getattr(config, "pipeline", config)
        if not hasattr(pipeline, "check"):
            raise UsageError(f"{config!r} cannot be submitted: it must be a Pipeline; put a single step into one")
        checked = self._with_settings(pipeline.check(self.name, pipeline_parameters), continue_on_step_failure)
        target = _target(pipeline, self.workspace)
        if notes := [*pipeline.notes(), *sorted(ignored)]:
            notify(f"not used here: {', '.join(notes)}")
        options = RunOptions(
            reuse=not regenerate_outputs,
            max_ranks=_limit(target),
            experiment=self.name,
            tags={str(name): str(value) for name, value in (tags or {}).items()},
            names=pipeline.names(),
        )
        directory = create_run(checked, None, options)
        environment = {**os.environ, "MPIBATCH_HOME": str(self.workspace.home)}
        if isinstance(target, SlurmCompute):
            detached.submit_to_slurm(commands.submission_of(checked, directory, target, environment), directory)
        else:
            detached.start(directory, environment)
        return PipelineRun(self, directory.path.name)

    def start_logging(self, **ignored: Any) -> Run:
        """A run of this very program, for its metrics and files; `complete()` ends it."""
        path = self.folder / new_run_name()
        path.mkdir(parents=True)
        return Run(path, experiment=self.name)

    def get_runs(self, **ignored: Any) -> Iterator[PipelineRun]:
        """The runs, latest first."""
        if self.folder.is_dir():
            for path in sorted(self.folder.iterdir(), reverse=True):
                if not path.is_symlink() and is_pipeline_run(path):
                    yield PipelineRun(self, path.name)

    def _with_settings(self, pipeline: CheckedPipeline, go_on: bool) -> CheckedPipeline:
        return replace(
            pipeline, settings=replace(pipeline.settings, output=str(self.folder), continue_on_step_failure=go_on)
        )


def _target(pipeline: Any, workspace: Any) -> LocalCompute | SlurmCompute:
    """Where all steps run: what one of them names, else the workspace's default, with a line."""
    named = [step.compute_target for step in pipeline.steps if step.compute_target is not None]
    for target in named:
        if isinstance(target, LocalCompute | SlurmCompute):
            return target
    default: LocalCompute | SlurmCompute = workspace.default_compute
    if named:
        names = ", ".join(dict.fromkeys(str(getattr(target, "name", target)) for target in named))
        notify(f"compute target {names}: steps run on {default}")
    return default


def _limit(target: LocalCompute | SlurmCompute) -> int | None:
    """Ranks that a step may have at most: on this machine its cores."""
    if isinstance(target, SlurmCompute):
        return None
    return target.processes or len(os.sched_getaffinity(0))
