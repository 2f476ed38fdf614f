"""Run: what `Run.get_context()` gives a script that runs in a step, and what it leaves in the run directory.

    log, tag --> metrics/rank<r>.jsonl, a line each          upload_file --> files/<name>
    `complete` and `fail` add a line too; `get_metrics` reads the lines of all ranks

Outside of a run everything works in a temporary folder, so that scripts can be tried.
"""

import importlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpibatch.config.schema import Input
from mpibatch.config.serialize import decode, input_to_data
from mpibatch.errors import WorkspaceError
from mpibatch.sdk.dataset_kinds import from_data
from mpibatch.sdk.model import Model
from mpibatch.sdk.tags import Tags
from mpibatch.sdk.workspace import Workspace

RUN_DIRECTORY = "MPIBATCH_RUN_DIR"


@dataclass(frozen=True, slots=True)
class RunExperiment:
    """The experiment that a run belongs to."""

    name: str
    workspace: Workspace


class Run:
    """A step's run, or a child of one. id: its name; None for the parent where it is no step."""

    def __init__(self, directory: Path, parent: "Run | None" = None, experiment: str | None = None) -> None:
        self._directory = directory
        self._parent = parent
        self._experiment = experiment or os.environ.get("MPIBATCH_EXPERIMENT", "default")
        self.id = directory.name
        self.name = directory.name

    def __repr__(self) -> str:
        return f"Run(id={self.id!r})"

    @staticmethod
    def get_context(allow_offline: bool = True, **ignored: Any) -> "Run":
        """The run in which this process works. Raises WorkspaceError outside of one, unless `allow_offline`."""
        found = os.environ.get(RUN_DIRECTORY)
        if found:
            return Run(Path(found))
        if not allow_offline:
            raise WorkspaceError("this process is not part of a run; Run.get_context(allow_offline=True) makes do")
        return Run(Path(tempfile.mkdtemp(prefix="mpibatch-offline-")))

    @property
    def experiment(self) -> RunExperiment:
        return RunExperiment(self._experiment, Workspace.from_config())

    @property
    def parent(self) -> Any:
        """The run that this is a child of; for a step the pipeline's."""
        if self._parent is not None:
            return self._parent
        if self._directory.parent.name != "steps":
            return None
        pipeline = self._directory.parents[1]
        if pipeline.parents[1].name != "runs":
            return Run(pipeline)
        # of a package above this one, as scripts that ask for it expect
        pipeline_run: Any = importlib.import_module("mpibatch.pipelines.api").PipelineRun
        return pipeline_run.get(self.experiment.workspace, pipeline.name)

    @property
    def input_datasets(self) -> dict[str, Any]:
        """What the step was given, by name: datasets, and paths of what is used whole, as if it were mounted."""
        file = self._directory / "run.json"
        record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        step = record.get("step") or record.get("job") or {}
        specs = [decode(Input, entry, str(file)) for entry in step.get("inputs", [])]
        datasets = {spec.name: from_data(input_to_data(spec)) for spec in specs}
        return {**datasets, **{side["name"]: side["path"] for side in step.get("side_inputs", [])}}

    # -- metrics and tags

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        self._add("metric", name, value)

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        self._add("metric", name, list(value))

    def log_row(self, name: str, description: str | None = None, **columns: Any) -> None:
        self._add("metric", name, columns)

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        self._add("metric", name, dict(value))

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        self._add("metric", name, value)

    log_accuracy_table = log_predictions = log_residuals = log_confusion_matrix

    def log_image(self, name: str, path: str | None = None, plot: Any = None, description: str = "") -> None:
        """A file, or a matplotlib figure or pyplot."""
        target = self._file(f"{name}.png")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path is not None:
            shutil.copy2(path, target)
        else:
            plot.savefig(target)
        self._add("metric", name, f"files/{name}.png")

    def get_metrics(self, name: str | None = None, **ignored: Any) -> dict[str, Any]:
        """Name to value; to a list of them where it was logged more than once."""
        found: dict[str, list[Any]] = {}
        for line in self._lines("metric"):
            if name in (None, line["name"]):
                found.setdefault(line["name"], []).append(line["value"])
        return {key: values[0] if len(values) == 1 else values for key, values in found.items()}

    def tag(self, key: str, value: str | None = None) -> None:
        self._add("tag", key, value)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        for key, value in tags.items():
            self.tag(key, str(value))

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        for key, value in properties.items():
            self._add("property", key, str(value))

    def get_tags(self) -> dict[str, Any]:
        return {line["name"]: line["value"] for line in self._lines("tag")}

    @property
    def tags(self) -> dict[str, Any]:
        return self.get_tags()

    def get_properties(self) -> dict[str, Any]:
        return {line["name"]: line["value"] for line in self._lines("property")}

    # -- files and models

    def upload_file(self, name: str, path_or_stream: Any, **ignored: Any) -> None:
        """Keeps a file, or what can be read from a stream, under a name. Raises WorkspaceError."""
        target = self._file(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if hasattr(path_or_stream, "read"):
                content = path_or_stream.read()
                target.write_bytes(content.encode() if isinstance(content, str) else content)
            else:
                shutil.copy2(path_or_stream, target)
        except OSError as error:
            raise WorkspaceError(f"{path_or_stream} cannot be kept as {target}: {error}") from error

    def upload_files(self, names: list[str], paths: list[str], **ignored: Any) -> None:
        for name, path in zip(names, paths, strict=True):
            self.upload_file(name, path)

    def upload_folder(self, name: str, path: str, **ignored: Any) -> None:
        """Raises WorkspaceError."""
        for file in sorted(Path(path).rglob("*")):
            if file.is_file():
                self.upload_file(f"{name}/{file.relative_to(path).as_posix()}", file)

    def get_file_names(self) -> list[str]:
        root = self._directory / "files"
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    def download_file(self, name: str, output_file_path: str | None = None, **ignored: Any) -> None:
        """Raises WorkspaceError where there is no such file."""
        source = self._file(name)
        if not source.is_file():
            raise WorkspaceError(f"run {self.id} has no file {name!r}; it has {self.get_file_names()}")
        shutil.copy2(source, output_file_path or Path(name).name)

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Tags = None,
        properties: Tags = None,
        description: str | None = None,
        **ignored: Any,
    ) -> Model:
        """model_path: an uploaded file or folder, else one of the working directory [model_name]."""
        name = model_path or model_name
        uploaded = self._file(name)
        path = uploaded if uploaded.exists() else Path(name)
        return Model.register(Workspace.from_config(), os.fspath(path), model_name, tags, properties, description)

    # -- children and the end

    def child_run(self, name: str | None = None, **ignored: Any) -> "Run":
        parent = self._directory / "children"
        parent.mkdir(parents=True, exist_ok=True)
        return Run(Path(tempfile.mkdtemp(prefix=f"{_safe(name or 'child')}-", dir=parent)), self, self._experiment)

    def get_children(self, **ignored: Any) -> "list[Run]":
        parent = self._directory / "children"
        return [Run(path, self, self._experiment) for path in sorted(parent.iterdir())] if parent.is_dir() else []

    def complete(self, **ignored: Any) -> None:
        self._add("status", "status", "Completed")

    def fail(self, error_details: Any = None, error_code: Any = None, **ignored: Any) -> None:
        """Notes it; whether the step has failed is told by its script's end."""
        self._add("status", "status", f"Failed: {error_details}" if error_details else "Failed")

    def cancel(self) -> None:
        self._add("status", "status", "Canceled")

    def get_status(self) -> str:
        """What was noted last, else Running."""
        lines = self._lines("status")
        return str(lines[-1]["value"]) if lines else "Running"

    def flush(self, timeout_seconds: float = 300) -> None:
        """Everything is written at once."""

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self.complete()
        else:
            self.fail(str(error))

    # -- on disk

    def _file(self, name: str) -> Path:
        """Where an uploaded file is. Raises WorkspaceError for a name that leads out."""
        root = self._directory / "files"
        path = Path(os.path.normpath(root / name))
        if root not in path.parents:
            raise WorkspaceError(f"{name!r} is no name for a file of a run: it is relative, and without ..")
        return path

    def _add(self, kind: str, name: str, value: Any) -> None:
        folder = self._directory / "metrics"
        folder.mkdir(parents=True, exist_ok=True)
        line = {"time": time.time(), "kind": kind, "name": name, "value": value}
        # a file of its own for each rank: appending from several hosts to one loses lines on network file systems
        rank = os.environ.get("MPIBATCH_RANK", "0")
        with (folder / f"rank{rank}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=_plain) + "\n")

    def _lines(self, kind: str) -> list[dict[str, Any]]:
        """Those of a kind, oldest first; one that a killed process has cut off is passed over."""
        found = []
        for path in (self._directory / "metrics").glob("rank*.jsonl"):
            for text in path.read_text(encoding="utf-8").splitlines():
                try:
                    found.append(json.loads(text))
                except ValueError:
                    continue
        return sorted((line for line in found if line["kind"] == kind), key=lambda line: float(line["time"]))


def _plain(value: Any) -> Any:
    """NumPy's and other scalars and arrays as Python's."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _safe(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in name)[:80]
