"""ORC, read by pyarrow: groups are stripes. Plan reads every stripe, since pyarrow does not tell of its statistics."""

from collections.abc import Iterator, Set
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import orc

from mpibatch.datasets.grouped_file import GroupedFile
from mpibatch.datasets.grouped_table import GroupedTable
from mpibatch.datasets.pandas_metadata import described_schema
from mpibatch.datasets.schemas import ColumnFacts


class OrcDataset(GroupedTable):
    """One input of type orc."""

    def open_groups(self, file: BinaryIO) -> GroupedFile:
        return OrcGroups(file)


class OrcGroups:
    """An ORC file."""

    def __init__(self, file: BinaryIO) -> None:
        self._orc = orc.ORCFile(file)
        self.schema = self._orc.schema
        self.names: list[str] = self.schema.names
        self._stripes = list(_stripes(self._orc.reader.serialized_file_tail()))
        self.rows = [rows for rows, _ in self._stripes]
        if sum(self.rows) != self._orc.nrows:
            raise OSError("the rows of its stripes are not as many as those of the file; is it damaged?")

    def group_bytes(self, group: int, columns: Set[str]) -> int:
        """A share of the stripe's bytes, as compressed."""
        return self._stripes[group][1] * len(columns & set(self.names)) // max(len(self.names), 1)

    def described(self) -> Any:
        facts = dict.fromkeys(self.names, ColumnFacts(0, 0))
        for stripe in range(len(self.rows)):
            batch = self._orc.read_stripe(stripe)
            facts = {name: facts[name].joined(batch.column(name)) for name in self.names}
        return described_schema(self.schema, facts)

    def read_group(self, group: int, columns: list[str] | None) -> Any:
        table = pa.Table.from_batches([self._orc.read_stripe(group, columns)])
        return table if columns is None else table.select(columns)

    def read_batches(self, group: int, columns: list[str] | None, rows: int) -> Iterator[Any]:
        return iter(self.read_group(group, columns).to_batches(rows))


def _stripes(tail: bytes) -> Iterator[tuple[int, int]]:
    """Rows and bytes of each stripe, of a file's tail in Protocol Buffers (orc_proto.proto): pyarrow tells of no more.

    FileTail.footer is field 2, Footer.stripes 3, StripeInformation.dataLength 3 and numberOfRows 5.
    """
    for number, footer in _fields(tail):
        for inner, stripe in _fields(footer) if number == 2 and isinstance(footer, bytes) else ():
            if inner == 3 and isinstance(stripe, bytes):
                told = dict(_fields(stripe))
                yield int(told.get(5, 0)), int(told.get(3, 0))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a message's fields."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        else:
            length, at = (8, at) if kind == 1 else (4, at) if kind == 5 else _varint(message, at)
            value, at = message[at : at + length], at + length
        yield key >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
