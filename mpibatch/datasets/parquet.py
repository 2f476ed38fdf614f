"""Parquet: groups are row groups. Plan reads footers only, and columns of integers of which these tell nothing.

Columns of pandas' nullable types stay such (see pandas_metadata.py).
"""

from collections.abc import Iterator, Set
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from mpibatch.datasets.grouped_file import GroupedFile
from mpibatch.datasets.grouped_table import GroupedTable
from mpibatch.datasets.parquet_footer import described

_READ = 1 << 20  # bytes of a column read at a time, else whole column chunks are held as well


class ParquetDataset(GroupedTable):
    """One input of type parquet."""

    def open_groups(self, file: BinaryIO) -> GroupedFile:
        return ParquetGroups(file)


class ParquetGroups:
    """A Parquet file."""

    def __init__(self, file: BinaryIO) -> None:
        self._parquet = pq.ParquetFile(file, buffer_size=_READ, pre_buffer=False)
        metadata = self._parquet.metadata
        self._groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
        self.schema = self._parquet.schema_arrow
        self.names: list[str] = self.schema.names
        self.rows = [int(group.num_rows) for group in self._groups]

    def group_bytes(self, group: int, columns: Set[str]) -> int:
        """As the file's encoding has them."""
        metadata = self._groups[group]
        chunks = (metadata.column(at) for at in range(metadata.num_columns))
        return sum(chunk.total_uncompressed_size for chunk in chunks if columns & _owners(chunk.path_in_schema))

    def described(self) -> Any:
        return described(self._parquet, self._groups)

    def read_group(self, group: int, columns: list[str] | None) -> Any:
        return self._parquet.read_row_group(group, columns, use_threads=False)

    def read_batches(self, group: int, columns: list[str] | None, rows: int) -> Iterator[Any]:
        found: Iterator[Any] = self._parquet.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)
        return found


def _owners(path: str) -> set[str]:
    """Column names that a leaf's path may stand for: itself (names may hold dots) or what it is in."""
    return {path, path.split(".", maxsplit=1)[0]}
