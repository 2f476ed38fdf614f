"""Parquet files of what columnar.py has collected: whole (`finalize`), or a group at a time.

    CollectedRows, offset in the file --encode_group--> row groups, and a footer: where their columns are
    footers of all groups ------------encode_end------> what follows the last group

pyarrow writes whole files only, from their beginning, and says of each column where in the file it stands. So a group
is written to a file in memory that has a hole up to `offset`, and of that file only what follows the hole is used. Put
together these are, byte for byte, what one ParquetWriter makes of the same groups.
"""

import io
import os
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mpibatch.arrow import read_parquet
from mpibatch.output import columnar
from mpibatch.output.columnar import CollectedRows, ColumnarFormat, explained

MAGIC = b"PAR1"
LENGTH_BYTES = 4  # of the footer, behind it
COPY_BYTES = 4 << 20  # bytes copied in one go


class ParquetFormat(ColumnarFormat):
    """Rank 0's half."""

    has_categories = True

    def table_writer(self, file: Any, schema: Any) -> Any:
        return pq.ParquetWriter(file, schema)

    def read(self, path: Path) -> Any:
        return read_parquet(path)

    def final_schema(self, schema: bytes) -> bytes:
        serialized: bytes = self.kinds(schema).serialize().to_pybytes()
        return serialized

    def collect(self) -> CollectedRows:
        return CollectedRows()

    def encode_group(
        self, path: Path, schema: bytes, rows: CollectedRows, offset: int, last: bool, write: Callable[[bytes], None]
    ) -> bytes:
        with open(os.memfd_create("row group"), "rb", buffering=0) as memory:
            with explained(path, schema):
                self._encode(memory, offset, self.final_rows(schema, rows, last))
            return _copy(memory, offset, write)

    def encode_end(self, path: Path, schema: bytes, footers: Iterable[bytes]) -> bytes:
        whole = None
        with explained(path, schema):
            for footer in footers:
                metadata = pq.read_metadata(io.BytesIO(MAGIC + footer))
                if whole is None:
                    whole = metadata
                else:
                    whole.append_row_groups(metadata)
            end = io.BytesIO()
            if whole is None:
                self.table_writer(end, self.kinds(schema)).close()
                return end.getvalue()
            whole.write_metadata_file(end)
            return end.getvalue()[len(MAGIC) :]

    def _encode(self, memory: FileIO, offset: int, table: Any) -> None:
        name = f"/proc/self/fd/{memory.fileno()}"
        with pa.OSFile(name, "ab") as file, self.table_writer(file, table.schema) as writer:
            if offset:
                os.ftruncate(memory.fileno(), offset - 1)
                file.write(bytes(1))  # where a file that is appended to stands shows only after a write
            writer.write_table(table, columnar.ROW_GROUP)


def _copy(memory: FileIO, offset: int, write: Callable[[bytes], None]) -> bytes:
    """What is between the hole and the footer is written, the footer returned."""
    descriptor = memory.fileno()
    length_at = os.fstat(descriptor).st_size - len(MAGIC) - LENGTH_BYTES
    end = length_at - int.from_bytes(os.pread(descriptor, LENGTH_BYTES, length_at), "little")
    while offset < end and (piece := os.pread(descriptor, min(COPY_BYTES, end - offset), offset)):
        write(piece)
        offset += len(piece)
    return os.pread(descriptor, length_at - end + LENGTH_BYTES + len(MAGIC), end)
