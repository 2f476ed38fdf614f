"""Published pipelines: kept in the workspace under a name, with versions, and submitted by it."""

from typing import Any

from mpibatch.errors import UsageError
from mpibatch.pipelines.api.classes import api_class
from mpibatch.pipelines.api.plain_data import slug
from mpibatch.workspace.catalogue import Catalogue, Entry, parse_version


class PublishedPipeline:
    """A kept pipeline; `submit` runs it as it was when it was published."""

    def __init__(self, workspace: Any, entry: Entry) -> None:
        self.workspace = workspace
        self.name = entry.name
        self.description = entry.description
        self.version = str(entry.version)
        self.id = f"{entry.name}:{entry.version}"
        self._data = entry.data

    def __repr__(self) -> str:
        return f"PublishedPipeline(Name: {self.name}, Id: {self.id})"

    @staticmethod
    def keep(pipeline: Any, name: str, description: str, version: str | None) -> "PublishedPipeline":
        """Checks it, and makes the next version of `name`."""
        pipeline.check()
        kept = {"pipeline": pipeline.to_data(name), "folder": pipeline.folder, "label": version or ""}
        catalogue = Catalogue(pipeline.workspace.home, "pipelines")
        return PublishedPipeline(
            pipeline.workspace, catalogue.add(slug(name, "pipeline"), kept, description=description)
        )

    @staticmethod
    def get(workspace: Any, id: str) -> "PublishedPipeline":
        """NAME or NAME:VERSION. Raises WorkspaceError where there is none."""
        name, _, version = id.partition(":")
        return PublishedPipeline(
            workspace, Catalogue(workspace.home, "pipelines").get(name, parse_version(version or None))
        )

    @staticmethod
    def list(workspace: Any, **ignored: Any) -> "list[PublishedPipeline]":
        return [PublishedPipeline(workspace, entry) for entry in Catalogue(workspace.home, "pipelines").latest()]

    @property
    def pipeline(self) -> Any:
        """What is submitted."""
        return api_class("Pipeline").from_data(self.workspace, self._data["pipeline"], self._data["folder"])

    @property
    def endpoint(self) -> str:
        """Raises UsageError: nothing listens."""
        raise UsageError(
            "a published pipeline has no REST endpoint here: submit it with PublishedPipeline.get(ws, "
            f"{self.id!r}).submit(ws, EXPERIMENT), or `mpibatch run FILE` from cron or scrontab"
        )

    def submit(self, workspace: Any, experiment_name: str, **options: Any) -> Any:
        return api_class("Experiment")(workspace, experiment_name).submit(self, **options)
