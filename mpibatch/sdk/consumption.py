"""DatasetConsumptionConfig: a dataset under the name by which a step uses it."""

from typing import Any


class DatasetConsumptionConfig:
    """dataset: a dataset, an output, or a PipelineParameter that holds one.

    mode: direct, mount or download; a side input with `download` is copied to each node
    """

    def __init__(
        self, name: str | None, dataset: Any, mode: str = "direct", path_on_compute: str | None = None
    ) -> None:
        self.name = name
        self.dataset = dataset
        self.mode = mode
        self.path_on_compute = path_on_compute

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig({self.name!r}, {self.dataset!r}, mode={self.mode!r})"

    def as_named_input(self, name: str) -> "DatasetConsumptionConfig":
        return DatasetConsumptionConfig(name, self.dataset, self.mode, self.path_on_compute)

    def as_mount(self, path_on_compute: str | None = None) -> "DatasetConsumptionConfig":
        return DatasetConsumptionConfig(self.name, self.dataset, "mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> "DatasetConsumptionConfig":
        return DatasetConsumptionConfig(self.name, self.dataset, "download", path_on_compute)

    def as_direct(self) -> "DatasetConsumptionConfig":
        return DatasetConsumptionConfig(self.name, self.dataset, "direct")
