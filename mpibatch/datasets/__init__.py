"""Inputs: how each format is cut into mini-batches and read.

A format's file is imported only when an input is of that format.
"""

from mpibatch.config.schema import Input, InputType, Size
from mpibatch.datasets.base import Dataset

__all__ = ["open_dataset"]


def open_dataset(input: Input, size: Size | None, partition_keys: tuple[str, ...] = ()) -> Dataset:
    """The dataset of one input; the same arguments give the same dataset on every rank and in every executor.

    size: of a mini-batch; None is the default of the format
    Raises InputError for a combination that no format has.
    """
    if input.type is InputType.FILES:
        from mpibatch.datasets.files import Files

        return Files(input, size)
    if input.type is InputType.CSV:
        from mpibatch.datasets.csv import Csv

        return Csv(input, size)
    if input.type is InputType.JSONL:
        from mpibatch.datasets.jsonl import Jsonl

        return Jsonl(input, size)
    if input.type is InputType.PARQUET:
        from mpibatch.datasets.parquet import Parquet

        return Parquet(input, size)
    from mpibatch.datasets.hdf5 import Hdf5

    return Hdf5(input, size)
