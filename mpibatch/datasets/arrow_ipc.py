"""Arrow's own files (IPC, Feather version 2) and streams: groups are record batches, mapped into memory.

Plan looks at every batch, and at the values of integers. A stream, as `datasets` of Hugging Face writes it, has no
footer: it is read from its start up to the batch wanted.
"""

import io
import mmap
from collections.abc import Iterator, Set
from typing import Any, BinaryIO

import pyarrow as pa

from mpibatch.datasets.base import LoadError
from mpibatch.datasets.grouped_file import GroupedFile
from mpibatch.datasets.grouped_table import GroupedTable
from mpibatch.datasets.pandas_metadata import described_schema
from mpibatch.datasets.schemas import ColumnFacts

_MAGIC, _FEATHER_1 = b"ARROW1", b"FEA1"


class ArrowDataset(GroupedTable):
    """One input of type arrow."""

    def open_groups(self, file: BinaryIO) -> GroupedFile:
        data = _mapped(file)
        if data[:4].to_pybytes() == _FEATHER_1:
            raise LoadError("it is a Feather file of version 1; write it again with version 2, or as Parquet")
        if data[:6].to_pybytes() == _MAGIC:
            reader = pa.ipc.open_file(pa.BufferReader(data))
            return ArrowGroups(reader.schema, _OfFile(reader))
        return ArrowGroups(pa.ipc.open_stream(pa.BufferReader(data)).schema, _OfStream(data))


def _mapped(file: BinaryIO) -> Any:
    """All of a file as a buffer, of which only what is used is read where it is on this machine's file systems."""
    try:
        return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError as error:
        raise LoadError("the file is empty") from error
    except (io.UnsupportedOperation, AttributeError):  # behind a URL
        return pa.py_buffer(file.read())


class _OfFile:
    """Record batches by their number."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(self._reader.num_record_batches))

    def __getitem__(self, at: int) -> Any:
        return self._reader.get_batch(at)


class _OfStream:
    """The same, read on from the last one."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._next = 0
        self._reader: Any = pa.ipc.open_stream(pa.BufferReader(data))

    def __iter__(self) -> Iterator[Any]:
        return iter(pa.ipc.open_stream(pa.BufferReader(self._data)))

    def __getitem__(self, at: int) -> Any:
        if at < self._next:
            self.__init__(self._data)  # type: ignore[misc]  # from the start again
        while True:
            batch = self._reader.read_next_batch()
            self._next += 1
            if self._next > at:
                return batch


class ArrowGroups:
    """An Arrow file or stream."""

    def __init__(self, schema: Any, batches: _OfFile | _OfStream) -> None:
        self.schema = schema
        self.names: list[str] = schema.names
        self._batches = batches
        self.rows: list[int] = []
        self._bytes: list[dict[str, int]] = []
        for batch in batches:
            self.rows.append(batch.num_rows)
            self._bytes.append({name: batch.column(at).nbytes for at, name in enumerate(self.names)})

    def group_bytes(self, group: int, columns: Set[str]) -> int:
        return sum(size for name, size in self._bytes[group].items() if name in columns)

    def described(self) -> Any:
        facts = dict.fromkeys(self.names, ColumnFacts(0, 0))
        for batch in self._batches:
            facts = {name: facts[name].joined(column) for name, column in zip(self.names, batch.columns, strict=True)}
        return described_schema(self.schema, facts)

    def read_group(self, group: int, columns: list[str] | None) -> Any:
        table = pa.Table.from_batches([self._batches[group]])
        return table if columns is None else table.select(columns)

    def read_batches(self, group: int, columns: list[str] | None, rows: int) -> Iterator[Any]:
        return iter(self.read_group(group, columns).to_batches(rows))
