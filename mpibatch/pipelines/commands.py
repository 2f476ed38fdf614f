"""What the commands do with a pipeline in place of a job: run, resume, check, submit to Slurm."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mpibatch.config.pipeline import NOT_YET, begin_step, load_pipeline
from mpibatch.config.pipeline_schema import Pipeline, ScriptStep
from mpibatch.errors import ExitStatus, RunDirectoryError
from mpibatch.launching.batch_script import Submission
from mpibatch.pipelines.directory import PipelineDirectory, RunOptions, create_run
from mpibatch.pipelines.runner import RunnerOptions, run_pipeline
from mpibatch.pipelines.status import PipelineState, as_text, read_status
from mpibatch.runs.directory import new_run_name
from mpibatch.runs.summary import RunState
from mpibatch.sdk.run_target import SlurmCompute
from mpibatch.workspace.registered import RegisteredInWorkspace

Notify = Callable[[str], None]


def run(
    file: Path,
    sets: tuple[str, ...],
    output: Path | None,
    run_dir: Path | None,
    options: RunOptions,
    runner: RunnerOptions,
    env: Mapping[str, str],
    notify: Notify,
) -> ExitStatus:
    """`mpibatch run pipeline.yaml`: a new run, or the one at `run_dir` goes on."""
    if run_dir is not None and (run_dir / "run.json").exists():
        return run_pipeline(PipelineDirectory(run_dir.absolute()), env, notify, runner)
    directory = create_run(with_output(load_pipeline(file, sets, RegisteredInWorkspace(env)), output), run_dir, options)
    notify(f"run directory {directory.path}")
    return run_pipeline(directory, env, notify, runner)


def with_output(pipeline: Pipeline, output: Path | None) -> Pipeline:
    """The pipeline with another parent of its run directories, if one is given."""
    if output is None:
        return pipeline
    return replace(pipeline, settings=replace(pipeline.settings, output=str(output.absolute())))


def describe(pipeline: Pipeline) -> str:
    """A checked pipeline: a line a step."""
    lines = [f"pipeline {pipeline.settings.name}: {len(pipeline.steps)} steps, in this order"]
    for step in pipeline.steps:
        what = step.data.get("script") or step.data["parallel_run_config"]["entry_script"]
        after = f", after {', '.join(step.needs)}" if step.needs else ""
        lines.append(f"  {step.name}: {step.kind} step, {what}{after}")
    return "\n".join(lines)


def build_submission(
    file: Path,
    sets: tuple[str, ...],
    output: Path | None,
    run_dir: Path | None,
    options: Mapping[str, Any],
    env: Mapping[str, str],
) -> Submission:
    """One job for all steps: the wait in the queue is paid once, and what is reused is known when a step begins.

    It asks for what the largest step wants. Raises JobFileError, UsageError.
    """
    pipeline = with_output(load_pipeline(file, sets, RegisteredInWorkspace(env)), output)
    path = (run_dir or Path(pipeline.settings.output) / new_run_name()).absolute()
    return _submission(pipeline, path, {**options, "sets": sets}, env)


def submission_of(
    pipeline: Pipeline, directory: PipelineDirectory, target: SlurmCompute, env: Mapping[str, str]
) -> Submission:
    """The job that runs a run which has been made."""
    return _submission(replace(pipeline, file=str(directory.pipeline_yaml)), directory.path, asdict(target), env)


def _submission(pipeline: Pipeline, path: Path, options: Mapping[str, Any], env: Mapping[str, str]) -> Submission:
    from mpibatch.launching.submission import gpus_needed, split_words  # with NumPy, for which no run should wait

    registered = RegisteredInWorkspace(env)
    steps = [begin_step(pipeline, step, nowhere(pipeline), registered) for step in pipeline.steps]
    configs = [step.config for step in steps if not isinstance(step, ScriptStep)]
    given = {name: value for name, value in options.items() if value is not None}
    if "prefix" in given:
        given["prefix"] = split_words("--prefix", given["prefix"])
    processes = [config.process_count_per_node for config in configs] or [1]
    counted = [count for count in processes if count is not None]
    gpus = [needed for config in configs if (needed := gpus_needed(config)) is not None]
    return Submission(
        job_file=pipeline.file,
        run_dir=str(path),
        name=pipeline.settings.name,
        processes_per_node=max(counted) if len(counted) == len(processes) else None,
        processes_per_gpu=max([config.processes_per_gpu for config in configs], default=1),
        gpus_per_process=max([config.gpus_per_process or 1 for config in configs], default=1),
        cpus_per_process=max([config.cpus_per_process or 0 for config in configs], default=0) or None,
        ranks_by_step=True,
        **{
            "nodes": max([config.node_count for config in configs], default=1),
            "gpus": max(gpus, key=int, default=None),
            **given,
        },
    )


@dataclass(frozen=True, slots=True)
class FollowedPipeline:
    """What `submit --wait` sees of the run of a pipeline at `path`."""

    path: Path

    def progress(self) -> str:
        """How far it is, "" where nothing says so yet."""
        with suppress(RunDirectoryError):
            status = read_status(PipelineDirectory(self.path))
            return status.progress_line if status.steps else ""
        return ""

    def end(self) -> RunState | None:
        """How it has ended; None where it has not said so. Raises RunDirectoryError."""
        status = read_status(PipelineDirectory(self.path))
        return _ENDS.get(status.state)

    def cause(self, status: ExitStatus) -> str:
        """Why it ended with `status`, as far as it has said so itself; "" else. Raises RunDirectoryError."""
        said = read_status(PipelineDirectory(self.path))
        if not said.state.has_ended or (said.state is PipelineState.STOPPED) is not (status is ExitStatus.STOPPED):
            return ""  # of an earlier allocation
        return as_text(PipelineDirectory(self.path), said)


_ENDS = {
    PipelineState.COMPLETED: RunState.COMPLETED,
    PipelineState.FAILED: RunState.ABORTED,
    PipelineState.CANCELED: RunState.ABORTED,
    PipelineState.STOPPED: RunState.STOPPED,
}


def nowhere(pipeline: Pipeline) -> dict[str, str]:
    """Output folders for steps that are only looked at."""
    return {step.name: f"{NOT_YET}/{step.name}" for step in pipeline.steps}
