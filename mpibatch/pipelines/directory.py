"""The run directory of a pipeline: where its files are, how it is made, what is recorded of it.

    run.json  pipeline.yaml  status.json  summary.json  report.html  logs/pipeline.txt  source/<step>/  steps/<step>/

pipeline.yaml is the pipeline as it runs: parameters put in, each source_directory that of the copy.
"""

import shutil
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from mpibatch.config.document import read_document
from mpibatch.config.pipeline import pipeline_from_data, to_data
from mpibatch.config.pipeline_schema import Pipeline, Step, StepKind
from mpibatch.config.registered import Registered
from mpibatch.config.serialize import decode
from mpibatch.errors import RunDirectoryError, UsageError
from mpibatch.files import read_json, replacing, write_json
from mpibatch.pipelines.source import copy_source, hash_folder
from mpibatch.runs import directory as directories
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.run_record import command_line, user_name

KIND = "pipeline"


@dataclass(frozen=True, slots=True)
class PipelineDirectory:
    """Names below `path`, an absolute folder."""

    path: Path

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def pipeline_yaml(self) -> Path:
        return self.path / "pipeline.yaml"

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What a detached runner says."""
        return self.path / "logs" / "pipeline.txt"

    @property
    def cancel(self) -> Path:
        """Its presence asks the runner to end."""
        return self.path / "cancel"

    def source(self, step: str) -> Path:
        return self.path / "source" / step

    def step(self, name: str) -> RunDirectory:
        """The run directory of a step; a symbolic link to that of an earlier run where it was reused."""
        return RunDirectory(self.path / "steps" / name)


@dataclass(frozen=True, slots=True)
class PipelineRecord:
    """run.json of a pipeline.

    folder:   what relative paths in pipeline.yaml refer to
    file:     the pipeline file; "" where a program made it
    sources:  step to the folder of which source/<step>/ is a copy
    reuse:    whether earlier outputs may be taken
    ranks:    of every parallel step; None for what each step says
    max_ranks: of every parallel step, at most
    tags:     of the program that submitted it; `experiment`, and `names`, what it calls each step, likewise
    """

    folder: str
    file: str
    sources: dict[str, str]
    command: tuple[str, ...]
    created: str
    user: str
    reuse: bool = True
    ranks: int | None = None
    max_ranks: int | None = None
    experiment: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    kind: str = KIND

    @staticmethod
    def read(directory: PipelineDirectory) -> "PipelineRecord":
        """Raises UsageError where there is no run of a pipeline, RunDirectoryError where it cannot be read."""
        if not is_pipeline_run(directory.path):
            raise UsageError(f"{directory.path} is no run of a pipeline")
        return decode(PipelineRecord, read_json(directory.run_json), str(directory.run_json))

    def write(self, directory: PipelineDirectory) -> None:
        write_json(directory.run_json, asdict(self))


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run of a pipeline is asked besides; as in PipelineRecord."""

    reuse: bool = True
    ranks: int | None = None
    max_ranks: int | None = None
    experiment: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def is_pipeline_run(path: Path) -> bool:
    """Whether `path` is the run directory of a pipeline; one with a damaged record is taken for that of a job."""
    run_json = path / "run.json"
    try:
        return run_json.exists() and read_json(run_json).get("kind") == KIND
    except RunDirectoryError:
        return False


def create_run(
    pipeline: Pipeline, run_dir: Path | None, options: RunOptions, command: Sequence[str] | None = None
) -> PipelineDirectory:
    """A new run of `pipeline`, at `run_dir` or below its output: everything is there for a runner to begin.

    Raises UsageError for a source_directory that cannot be copied, RunDirectoryError.
    """
    parent = Path(pipeline.settings.output)
    path = (run_dir or parent / directories.new_run_name()).absolute()
    directory = PipelineDirectory(path)
    if directory.run_json.exists():
        raise UsageError(f"{path} is a run already: `mpibatch resume {path}` goes on with it")
    sources = {step.name: source_directory(pipeline, step) for step in pipeline.steps}
    try:
        directory.log.parent.mkdir(parents=True, exist_ok=True)
        (path / "steps").mkdir(exist_ok=True)
        for step, source in sources.items():
            copy_source(Path(source), directory.source(step), leave_out=parent)
        copied = with_sources(pipeline, {step: str(directory.source(step)) for step in sources})
        with replacing(directory.pipeline_yaml) as file:
            file.write(yaml.safe_dump(to_data(copied), sort_keys=False, allow_unicode=True).encode())
    except OSError as error:
        raise RunDirectoryError(
            f"cannot make the run directory {path}: {error.strerror or error}. Is the parent folder there and "
            "writable? Choose another with --output DIR."
        ) from error
    PipelineRecord(
        folder=pipeline.folder,
        file=pipeline.file,
        sources=sources,
        command=tuple(command if command is not None else command_line()),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        user=user_name(),
        reuse=options.reuse,
        ranks=options.ranks,
        max_ranks=options.max_ranks,
        experiment=options.experiment,
        tags=options.tags,
        names=options.names,
    ).write(directory)
    if run_dir is None:
        directories.update_latest(path)
    return directory


def refresh_sources(directory: PipelineDirectory, sources: Mapping[str, str], done: Container[str]) -> list[str]:
    """A resume takes scripts as they are now: a line for each step, not `done`, of which the copy is replaced."""
    changed = []
    for step, source in sources.items():
        copy = directory.source(step)
        if step in done or not Path(source).is_dir():
            continue
        leave_out = directory.path.parent
        if hash_folder(Path(source), leave_out) != hash_folder(copy, leave_out):
            shutil.rmtree(copy, ignore_errors=True)
            copy_source(Path(source), copy, leave_out)
            changed.append(
                f"step {step}: {source} has changed since the run began; the step goes on with the scripts as they are "
                "now (--script copy: as they were)"
            )
    return changed


def read_pipeline(directory: PipelineDirectory, registered: Registered) -> Pipeline:
    """The pipeline of a run. Raises what PipelineRecord.read raises, JobFileError."""
    record = PipelineRecord.read(directory)
    data = read_document(str(directory.pipeline_yaml))
    pipeline = pipeline_from_data(data, record.folder, name=str(directory.pipeline_yaml), registered=registered)
    return replace(pipeline, file=record.file)


def read_outputs(directory: PipelineDirectory, step: str) -> dict[str, str]:
    """Names of a step's outputs, and the folder in its output that each is: "" for all. Raises JobFileError."""
    steps: list[dict[str, Any]] = read_document(str(directory.pipeline_yaml))["steps"]
    named: dict[str, Any] = next((entry.get("outputs", {}) for entry in steps if entry["name"] == step), {})
    return {name: str(entry.get("folder", "")) for name, entry in named.items()}


def source_directory(pipeline: Pipeline, step: Step) -> str:
    """The folder of a step's script, absolute."""
    data: dict[str, Any] = step.data if step.kind is StepKind.SCRIPT else step.data.get("parallel_run_config", {})
    return str(Path(pipeline.folder, Path(str(data.get("source_directory", "."))).expanduser()))


def with_sources(pipeline: Pipeline, folders: dict[str, str]) -> Pipeline:
    """The pipeline with other folders of the steps' scripts."""
    return replace(pipeline, steps=tuple(_with_source(step, folders[step.name]) for step in pipeline.steps))


def _with_source(step: Step, folder: str) -> Step:
    if step.kind is StepKind.SCRIPT:
        return replace(step, data={**step.data, "source_directory": folder})
    config = {**step.data["parallel_run_config"], "source_directory": folder}
    return replace(step, data={**step.data, "parallel_run_config": config})
