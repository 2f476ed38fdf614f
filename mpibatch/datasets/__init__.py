"""Inputs: how each format is cut into mini-batches and read.

A format's file is imported only when an input is of that format.
"""

from dataclasses import replace

from mpibatch.config.choices import TABLES, InputType
from mpibatch.config.schema import Input, Job
from mpibatch.config.values import Size
from mpibatch.datasets.base import Dataset
from mpibatch.datasets.paths import keys_in_paths, normalized
from mpibatch.errors import InputError

__all__ = ["open_dataset", "open_datasets"]


def open_datasets(job: Job) -> list[Dataset]:
    """One dataset an input, in their order; for `mini_batch_count` the one without input. Raises InputError."""
    config = job.config
    if config.mini_batch_count is not None:
        from mpibatch.datasets.counted import CountedDataset

        return [CountedDataset(config.mini_batch_count)]
    return [open_dataset(input, config.mini_batch_size, config.partition_keys) for input in job.inputs]


def open_dataset(spec: Input, size: Size | None, partition_keys: tuple[str, ...] = ()) -> Dataset:
    """The dataset of one input; the same arguments give the same dataset on every rank and in every executor.

    size: of a mini-batch; None is the default of the format
    Raises InputError for a combination that no format has.
    """
    spec = replace(spec, paths=tuple(normalized(path.removeprefix("file://")) for path in spec.paths))
    if spec.type is InputType.FILES:
        return _open_files(spec, size, partition_keys)
    if spec.type.value not in TABLES:
        if partition_keys:
            raise InputError(f"input {spec.name!r}: partition_keys are for files and tables, not for {spec.type}")
        return _open_sliced(spec, size)
    if partition_keys:
        from mpibatch.datasets.partition import PartitionedTableDataset

        return PartitionedTableDataset(spec, _open_table(spec, None), partition_keys)
    return _open_table(spec, size)


def _open_files(spec: Input, size: Size | None, partition_keys: tuple[str, ...]) -> Dataset:
    remote = any("://" in path for path in spec.paths)
    if partition_keys:
        if remote:
            raise InputError(f"input {spec.name!r}: partition_keys are not available for URLs")

        from mpibatch.datasets.partition import PartitionedFileDataset

        return PartitionedFileDataset(spec, partition_keys)
    if remote:
        from mpibatch.datasets.remote_files import RemoteFileDataset

        return RemoteFileDataset(spec, size)

    from mpibatch.datasets.files import FileDataset

    return FileDataset(spec, size)


def _open_sliced(spec: Input, size: Size | None) -> Dataset:
    """What is neither files nor a table."""
    if spec.type is InputType.LINES:
        from mpibatch.datasets.lines import LinesDataset

        return LinesDataset(spec, size)
    if spec.type is InputType.TAR:
        from mpibatch.datasets.tar import TarDataset

        return TarDataset(spec, size)

    from mpibatch.datasets.hdf5 import Hdf5Dataset

    return Hdf5Dataset(spec, size)


def _open_table(spec: Input, size: Size | None) -> Dataset:
    keys = keys_in_paths(spec)
    if not (keys or spec.path_column or spec.drop_columns):
        return _open_columns(spec, size)

    from mpibatch.datasets.path_columns import PathColumnsDataset, of_files

    return PathColumnsDataset(spec, _open_columns(of_files(spec, keys), size), keys)


def _open_columns(spec: Input, size: Size | None) -> Dataset:
    """The columns that the files themselves have."""
    if spec.type is InputType.CSV:
        from mpibatch.datasets.csv import CsvDataset

        return CsvDataset(spec, size)
    if spec.type is InputType.JSONL:
        from mpibatch.datasets.jsonl import JsonlDataset

        return JsonlDataset(spec, size)
    if spec.type is InputType.ARROW:
        from mpibatch.datasets.arrow_ipc import ArrowDataset

        return ArrowDataset(spec, size)
    if spec.type is InputType.ORC:
        from mpibatch.datasets.orc import OrcDataset

        return OrcDataset(spec, size)

    from mpibatch.datasets.parquet import ParquetDataset

    return ParquetDataset(spec, size)
