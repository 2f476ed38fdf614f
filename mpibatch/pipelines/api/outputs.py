"""Outputs of steps: PipelineData and OutputFileDatasetConfig, each the folder that one step fills and others read."""

from collections.abc import Iterable, Mapping
from typing import Any

from mpibatch.config.partition_format import with_keys
from mpibatch.errors import UsageError
from mpibatch.sdk.consumption import DatasetConsumptionConfig
from mpibatch.sdk.table_options import columns, delimited


class StepOutput:
    """A step's output under a name. producer: the step that fills it, once one was given it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.producer: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def claim(self, step: Any) -> None:
        """`step` fills it. Raises UsageError where another does."""
        if self.producer is not None and self.producer is not step:
            raise UsageError(
                f"output {self.name!r} is filled by step {self.producer.name!r}; step {step.name!r} needs another one"
            )
        self.producer = step

    def reference(self) -> str:
        """Its folder, as a pipeline file names it. Raises UsageError where no step fills it."""
        if self.producer is None:
            raise UsageError(f"output {self.name!r} is used, but no step makes it: give it to a step as output")
        inside = self.producer.output_folder(self)
        return f"${{{{ steps.{self.producer.slug}.output }}}}" + (f"/{inside}" if inside else "")

    def to_data(self) -> dict[str, Any]:
        """It as an entry of `inputs:`: all its files."""
        return {"type": "files", "path": self.reference()}

    def entry(self) -> dict[str, Any]:
        """It as an entry of its step's `outputs:`."""
        inside = self.producer.output_folder(self)
        return {"folder": inside} if inside else {}

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(name, self)


class PipelineData(StepOutput):
    """Data between steps. What is said of how it is mounted or uploaded has no meaning here."""

    def __init__(
        self,
        name: str,
        datastore: Any = None,
        output_name: str | None = None,
        output_mode: str = "mount",
        output_path_on_compute: str | None = None,
        output_overwrite: bool | None = None,
        data_type: str | None = None,
        is_directory: bool | None = None,
        pipeline_output_name: str | None = None,
        training_output: Any = None,
    ) -> None:
        super().__init__(output_name or name)
        self.datastore = datastore
        self.output_mode = output_mode
        self.output_path_on_compute = output_path_on_compute
        self.pipeline_output_name = pipeline_output_name

    def as_dataset(self) -> "PipelineOutputFileDataset":
        return PipelineOutputFileDataset(self)

    def as_mount(self) -> "PipelineData":
        return self

    def as_download(self, *arguments: Any, **ignored: Any) -> "PipelineData":
        return self

    def as_upload(self, *arguments: Any, **ignored: Any) -> "PipelineData":
        return self

    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(name or self.name, self)


class PipelineOutputFileDataset:
    """An output as a dataset."""

    def __init__(self, pipeline_data: StepOutput) -> None:
        self.output = pipeline_data
        self.name = pipeline_data.name

    def to_data(self) -> dict[str, Any]:
        return self.output.to_data()

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(name, self)

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(self.name, self, "mount")

    def as_direct(self) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(self.name, self)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(self.name, self, "download")

    def parse_delimited_files(
        self,
        include_path: bool = False,
        separator: str | None = None,
        header: Any = True,
        partition_format: str | None = None,
        file_extension: str = "",
        set_column_types: Mapping[str, Any] | None = None,
        quoted_line_breaks: bool = False,
    ) -> "OutputTable":
        """Its files as CSV; the arguments are those of `Dataset.Tabular.from_delimited_files`.

        file_extension: such as ".csv": only files whose names end so
        """
        options = {**delimited(separator, header, quoted_line_breaks), **columns(include_path, set_column_types)}
        return OutputTable(self.output, "csv", options, partition_format, _ending(file_extension))

    def parse_parquet_files(
        self,
        include_path: bool = False,
        partition_format: str | None = None,
        file_extension: str = "",
        set_column_types: Mapping[str, Any] | None = None,
    ) -> "OutputTable":
        """Its files as Parquet, which have their types."""
        return OutputTable(self.output, "parquet", columns(include_path), partition_format, _ending(file_extension))


def _ending(extension: str) -> str | None:
    return f"**/*{extension}" if extension else None


class OutputTable:
    """The files of an output as rows.

    options: keys of an entry of `inputs:`
    glob:    the files that are meant, below the output's folder; None: all
    """

    def __init__(
        self,
        output: StepOutput,
        kind: str,
        options: Mapping[str, Any],
        partition_format: str | None = None,
        glob: str | None = None,
    ) -> None:
        self.output = output
        self.name = output.name
        self._kind = kind
        self._options = dict(options)
        self._partition_format = partition_format
        self._glob = glob

    def keep_columns(self, columns: str | Iterable[str]) -> "OutputTable":
        return self._with(columns=[columns] if isinstance(columns, str) else list(columns))

    def drop_columns(self, columns: str | Iterable[str]) -> "OutputTable":
        return self._with(drop_columns=[columns] if isinstance(columns, str) else list(columns))

    def _with(self, **options: Any) -> "OutputTable":
        return OutputTable(self.output, self._kind, {**self._options, **options}, self._partition_format, self._glob)

    def to_data(self) -> dict[str, Any]:
        """It as an entry of `inputs:`."""
        path = with_keys(self.output.reference(), self._partition_format)
        if self._glob is not None and self._partition_format is None:
            path = f"{path}/{self._glob}"
        return {"type": self._kind, "path": path, **self._options}

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(name, self)

    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(name or self.name, self)


class OutputFileDatasetConfig(StepOutput):
    """An output that is also put somewhere and may become a dataset.

    destination: (datastore, "folder/{run-id}/{output-name}"); None: it stays in the run directory
    """

    _unnamed = 0

    def __init__(
        self,
        name: str | None = None,
        destination: Any = None,
        source: str | None = None,
        partition_format: str | None = None,
    ) -> None:
        if name is None:
            OutputFileDatasetConfig._unnamed += 1
            name = f"output_{OutputFileDatasetConfig._unnamed}"
        super().__init__(name)
        self.destination = destination
        self.source = source
        self.registered_name: str | None = None

    @property
    def destination_address(self) -> str | None:
        """The absolute path or URL; {run-id} and {output-name} are still in it."""
        if self.destination is None:
            return None
        if isinstance(self.destination, tuple):
            datastore, below = self.destination
            folder = below if below is not None else "{run-id}/{output-name}"
            address = f"{datastore.address.rstrip('/')}/{folder.strip('/')}"
        else:
            address = getattr(self.destination, "address", str(self.destination))
        return str(address)

    def entry(self) -> dict[str, Any]:
        given = {"destination": self.destination_address, "dataset": self.registered_name}
        return {**super().entry(), **{key: value for key, value in given.items() if value is not None}}

    def as_upload(self, *arguments: Any, **ignored: Any) -> "OutputFileDatasetConfig":
        return self

    def as_mount(self, *arguments: Any, **ignored: Any) -> "OutputFileDatasetConfig":
        return self

    def register_on_complete(self, name: str, *arguments: Any, **ignored: Any) -> "OutputFileDatasetConfig":
        """It becomes the next version of a dataset when its step is complete."""
        self.registered_name = name
        return self

    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(name or self.name, self)

    def read_delimited_files(
        self,
        include_path: bool = False,
        separator: str | None = None,
        header: Any = True,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: Mapping[str, Any] | None = None,
    ) -> OutputTable:
        """Its files as CSV; the arguments are those of `Dataset.Tabular.from_delimited_files`.

        path_glob: such as "part-*.csv": only these files of its folder
        """
        options = {**delimited(separator, header), **columns(include_path, set_column_types)}
        return OutputTable(self, "csv", options, partition_format, path_glob)

    def read_parquet_files(
        self,
        include_path: bool = False,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: Mapping[str, Any] | None = None,
    ) -> OutputTable:
        """Its files as Parquet, which have their types."""
        return OutputTable(self, "parquet", columns(include_path), partition_format, path_glob)
