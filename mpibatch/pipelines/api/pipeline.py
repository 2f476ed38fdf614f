"""Pipeline: steps that are submitted together; `to_data()` is the pipeline file that says the same."""

import os
from collections.abc import Mapping
from typing import Any

from mpibatch.config.pipeline import pipeline_from_data
from mpibatch.config.pipeline_schema import Pipeline as CheckedPipeline
from mpibatch.errors import JobFileError
from mpibatch.pipelines.api.classes import api_class
from mpibatch.pipelines.api.parameter import parameter_data
from mpibatch.pipelines.api.plain_data import Parameters, slug
from mpibatch.pipelines.api.steps import PipelineStep, flatten
from mpibatch.sdk.registries import Registries
from mpibatch.workspace.registered import RegisteredInWorkspace


class Pipeline:
    """Steps, and those that they need, in an order that follows from their data and from `run_after`."""

    def __init__(
        self,
        workspace: Any = None,
        steps: Any = None,
        description: str | None = None,
        default_datastore: Any = None,
        default_source_directory: str | None = None,
        **ignored: Any,
    ) -> None:
        self.workspace = workspace or Registries()
        self.description = description
        self.steps: list[PipelineStep] = []
        for step in flatten(steps if steps is not None else []):
            self._add(step)
        self._data: dict[str, Any] | None = None
        self.folder = os.getcwd()

    def __repr__(self) -> str:
        return f"Pipeline(steps={[step.name for step in self.steps]})"

    def _add(self, step: PipelineStep) -> None:
        """A step after those that it needs."""
        if step not in self.steps:
            self.steps.append(step)
            for needed in step.needs():
                self._add(needed)

    @staticmethod
    def from_data(workspace: Any, data: Mapping[str, Any], folder: str | os.PathLike[str] = ".") -> "Pipeline":
        """The pipeline of a file's data. folder: what relative paths refer to."""
        made = Pipeline(workspace)
        made._data = dict(data)
        made.folder = os.path.abspath(folder)
        return made

    def to_data(self, name: str = "pipeline") -> dict[str, Any]:
        """What a pipeline file has that says the same. Raises UsageError for what cannot be said."""
        if self._data is not None:
            return self._data
        parameters = Parameters()
        steps = [step.to_data(parameters) for step in self.steps]
        return {"name": slug(name, "experiment"), "parameters": parameters.values, "steps": steps}

    def check(self, name: str = "pipeline", values: Mapping[str, Any] | None = None) -> CheckedPipeline:
        """The pipeline ready to run. values: of parameters. Raises JobFileError with all problems, UsageError."""
        plain = {parameter: parameter_data(value) for parameter, value in (values or {}).items()}
        data = self.to_data(name)
        return pipeline_from_data(
            data, self.folder, name=repr(self), values=plain, registered=RegisteredInWorkspace(os.environ)
        )

    def validate(self) -> list[str]:
        """All problems, in words; [] where there are none."""
        try:
            self.check()
        except JobFileError as error:
            return error.problems
        return []

    def submit(self, experiment_name: str, pipeline_parameters: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Starts a run; returns at once. As `Experiment(workspace, experiment_name).submit(self)` does."""
        known = {name: value for name, value in options.items() if name in ("regenerate_outputs", "tags")}
        return api_class("Experiment")(self.workspace, experiment_name).submit(
            self, pipeline_parameters=pipeline_parameters, **known
        )

    def publish(
        self, name: str | None = None, description: str | None = None, version: str | None = None, **ignored: Any
    ) -> Any:
        """Keeps it in the workspace, to be submitted by name."""
        return api_class("PublishedPipeline").keep(self, name or "pipeline", description or "", version)

    def names(self) -> dict[str, str]:
        """What the program calls its steps, by folder."""
        return {step.slug: step.name for step in self.steps}

    def notes(self) -> list[str]:
        """What was given and is not used."""
        return list(dict.fromkeys(note for step in self.steps for note in step.notes()))
