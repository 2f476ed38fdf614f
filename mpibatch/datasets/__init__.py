"""Inputs: how each format is cut into mini-batches and read.

A format's file is imported only when an input is of that format.
"""

from dataclasses import replace

from mpibatch.config.schema import Input, InputType, Job, Size
from mpibatch.datasets.base import Dataset
from mpibatch.errors import InputError

__all__ = ["open_dataset", "open_datasets"]


def open_datasets(job: Job) -> list[Dataset]:
    """One dataset an input, in their order; for `mini_batch_count` the one without input. Raises InputError."""
    config = job.config
    if config.mini_batch_count is not None:
        from mpibatch.datasets.counted import Counted

        return [Counted(config.mini_batch_count)]
    return [open_dataset(input, config.mini_batch_size, config.partition_keys) for input in job.inputs]


def open_dataset(input: Input, size: Size | None, partition_keys: tuple[str, ...] = ()) -> Dataset:
    """The dataset of one input; the same arguments give the same dataset on every rank and in every executor.

    size: of a mini-batch; None is the default of the format
    Raises InputError for a combination that no format has.
    """
    input = replace(input, paths=tuple(path.removeprefix("file://") for path in input.paths))
    if input.type is InputType.FILES:
        return _open_files(input, size, partition_keys)
    if input.type is InputType.HDF5:
        if partition_keys:
            raise InputError(f"input {input.name!r}: partition_keys are for files and tables, not for hdf5")

        from mpibatch.datasets.hdf5 import Hdf5

        return Hdf5(input, size)
    if partition_keys:
        from mpibatch.datasets.partition import PartitionedTable

        return PartitionedTable(input, _open_table(input, None), partition_keys)
    return _open_table(input, size)


def _open_files(input: Input, size: Size | None, partition_keys: tuple[str, ...]) -> Dataset:
    remote = any("://" in path for path in input.paths)
    if partition_keys:
        if remote:
            raise InputError(f"input {input.name!r}: partition_keys are not available for URLs")

        from mpibatch.datasets.partition import PartitionedFiles

        return PartitionedFiles(input, partition_keys)
    if remote:
        from mpibatch.datasets.remote import RemoteFiles

        return RemoteFiles(input, size)

    from mpibatch.datasets.files import Files

    return Files(input, size)


def _open_table(input: Input, size: Size | None) -> Dataset:
    if input.type is InputType.CSV:
        from mpibatch.datasets.csv import Csv

        return Csv(input, size)
    if input.type is InputType.JSONL:
        from mpibatch.datasets.jsonl import Jsonl

        return Jsonl(input, size)

    from mpibatch.datasets.parquet import Parquet

    return Parquet(input, size)
