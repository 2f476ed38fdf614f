"""Parquet: a mini-batch is a row group, several small ones, or a piece of one; the script gets a DataFrame.

    mini_batch_size   none      one row group
                      bytes     row groups of a file joined up to that many decoded bytes, or pieces of one
                      N rows    N rows, whatever the row groups

Plan reads footers only (spread by `map`). Pieces of a row group follow each other in the plan, and the loader
keeps the group that it decoded last, so that an executor that is granted neighbours decodes a group once; a
group of more than KEEP bytes is not decoded whole but read on in batches, from its start if the piece wanted
is not the next one.

Types are those of the first file that can be read; nulls are counted by the footers' statistics, so that they
are settled for the whole input (see schemas.py). Other files may have the columns in another order, and
narrower types.
"""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mpibatch.config.schema import Input, Size, Unit
from mpibatch.datasets.base import FailedItem, LoadError
from mpibatch.datasets.lines import Place
from mpibatch.datasets.schemas import pack, plain, plain_schema, settle, to_pandas, unpack
from mpibatch.datasets.sources import data_files, open_file
from mpibatch.datasets.tables import Frame, Payloads, Span, lost_rows
from mpibatch.errors import InputError
from mpibatch.types import UNKNOWN, Map, Slice

KEEP = 1 << 27  # decoded bytes of a row group that is kept whole
_BATCH = 1 << 14  # rows read on at a time from a larger one
_READ = 1 << 20  # bytes of a column read at a time, else whole column chunks are held as well

UNREADABLE = 1  # flag of a span: the file could not be read while planning


@dataclass(frozen=True, slots=True)
class Footer:
    """What planning needs of one file. groups: rows and decoded bytes of each row group; schema: packed."""

    groups: list[tuple[int, int]]
    schema: bytes


class Parquet:
    """One input of type parquet."""

    reads_data = True

    def __init__(self, spec: Input, size: Size | None) -> None:
        if size is not None and size.unit is Unit.ITEMS:
            raise InputError(f"input {spec.name!r}: mini_batch_size of parquet is bytes, or 'N rows'")
        self._spec = spec
        self._size = size
        self._payloads = Payloads(spec)
        self._schema: Any = None
        self._open: Reader | None = None

    # Planning

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        merged: Any = None
        paths = list(data_files(self._spec))
        for path, footer in zip(paths, map(self.footer, paths), strict=True):
            if footer is None:
                yield Slice(self._payloads.pack(Span(path, 0, 0, UNREADABLE)))
                continue
            schema = unpack(footer.schema)
            merged = schema if merged is None else _with_nulls(merged, schema)
            for first, last in _cuts(footer.groups, self._size):
                yield Slice(self._payloads.pack(Span(path, first, last)), last - first)
        if merged is not None:
            self._schema = settle(self._spec, merged)

    def footer(self, path: str) -> Footer | None:
        """The footer of one file; None if it cannot be read."""
        try:
            with open_file(path) as file:
                parquet = pq.ParquetFile(file)
                metadata = parquet.metadata
                wanted = set(self._spec.columns or parquet.schema_arrow.names)
                groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
                schema = plain_schema(parquet.schema_arrow)
                nulls = _columns_with_nulls(groups)
                schema = pa.schema([field.with_nullable(field.name in nulls) for field in schema])
                return Footer([(group.num_rows, _bytes(group, wanted)) for group in groups], pack(schema))
        except (OSError, pa.ArrowException):
            return None

    def freeze(self) -> bytes:
        return b"" if self._schema is None else pack(self._schema)

    def thaw(self, frozen: bytes) -> None:
        self._schema = unpack(frozen) if frozen else None

    # Loading

    @property
    def schema(self) -> Any:
        """The settled schema, None before it is."""
        return self._schema

    def decode(self, payload: bytes) -> Any:
        """A slice as an Arrow table in the settled types. Raises LoadError."""
        span = self._payloads.unpack(payload)
        with Place(span, "rows"):
            return self.table(span)

    def path_of(self, payload: bytes) -> str:
        return self._payloads.unpack(payload).path

    def load(self, payload: bytes) -> Frame:
        span = self._payloads.unpack(payload)
        with Place(span, "rows"):
            table = self.table(span)
            return Frame(to_pandas(table, table.schema if self._schema is None else self._schema))

    def table(self, span: Span) -> Any:
        """The rows of a span with the settled types. Raises LoadError, without naming the place."""
        try:
            if self._open is None or self._open.path != span.path:
                self._close()
                self._open = Reader(span.path, self._wanted())
            last = self._open.rows if span.flags & UNREADABLE else span.last
            table = self._open.read(span.first, last)
            return table if self._schema is None else _cast(table, self._schema)
        except pa.ArrowException as error:
            self._close()
            raise LoadError(str(error)) from error
        except OSError:
            self._close()
            raise

    def _wanted(self) -> list[str] | None:
        if self._schema is not None:
            return list(self._schema.names)
        return list(self._spec.columns) or None

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    # Failures

    def describe(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        span = self._payloads.unpack(payload)
        if span.flags & UNREADABLE and lost is None:
            return [FailedItem(span.path, count=items)]
        return lost_rows(span.path, span.first, lost, items)

    def count(self, payload: bytes) -> int:
        span = self._payloads.unpack(payload)
        if not span.flags & UNREADABLE:
            return span.last - span.first
        footer = self.footer(span.path)
        return UNKNOWN if footer is None else sum(rows for rows, _ in footer.groups)


class Reader:
    """An open file and the row group decoded last."""

    def __init__(self, path: str, columns: list[str] | None) -> None:
        self.path = path
        self._file = open_file(path)
        weakref.finalize(self, self._file.close)
        try:
            self._parquet = pq.ParquetFile(self._file, buffer_size=_READ, pre_buffer=False)
        except BaseException:
            self._file.close()
            raise
        names = self._parquet.schema_arrow.names
        if missing := [name for name in columns or [] if name not in names]:
            self._file.close()
            raise LoadError(f"the file lacks the columns {missing}; it has {names}")
        self._columns = columns
        metadata = self._parquet.metadata
        self._starts = [0]
        for at in range(metadata.num_row_groups):
            self._starts.append(self._starts[-1] + metadata.row_group(at).num_rows)
        self.rows = self._starts[-1]
        self._group = -1
        self._decoded: Any = None
        self._stream: Iterator[Any] = iter(())
        self._rest: Any = None  # what the stream has given beyond them
        self._streamed = 0  # rows of the group passed so far

    def close(self) -> None:
        self._file.close()

    def read(self, first: int, last: int) -> Any:
        """Rows [first, last) as a table. Raises OSError and ArrowException."""
        if last > self.rows:
            raise LoadError(f"the file has {self.rows} rows; was it changed since the plan was made?")
        parts = []
        for group, start in enumerate(self._starts[:-1]):
            begin, end = max(first, start), min(last, self._starts[group + 1])
            if begin < end:
                parts.append(self._read_group(group, begin - start, end - start))
        if not parts:
            schema = self._parquet.schema_arrow
            names = self._columns or schema.names
            return pa.schema([schema.field(name) for name in names]).empty_table()
        return pa.concat_tables(parts)

    def _read_group(self, group: int, first: int, last: int) -> Any:
        metadata = self._parquet.metadata.row_group(group)
        if _bytes(metadata, set(self._columns or self._parquet.schema_arrow.names)) > KEEP:
            return self._read_on(group, first, last)
        if group != self._group or self._decoded is None:
            self._decoded = None  # freed before the next one is decoded
            self._decoded = plain(self._parquet.read_row_group(group, self._columns, use_threads=False))
            self._group = group
        return self._decoded.slice(first, last - first)

    def _read_on(self, group: int, first: int, last: int) -> Any:
        if group != self._group or self._decoded is not None or first < self._streamed:
            self._decoded, self._group, self._streamed = None, group, 0
            self._stream = self._parquet.iter_batches(
                _BATCH, row_groups=[group], columns=self._columns, use_threads=False
            )
            self._rest = None
        parts: list[Any] = []
        while self._streamed < last:
            table = self._rest if self._rest is not None else plain(pa.Table.from_batches([next(self._stream)]))
            self._rest = None
            end = self._streamed + table.num_rows
            if end > first:
                parts.append(table.slice(max(first - self._streamed, 0), min(last, end) - max(first, self._streamed)))
            if end > last:
                self._rest = table.slice(last - self._streamed)
                self._streamed = last
            else:
                self._streamed = end
        return pa.concat_tables(parts)


def _cuts(groups: list[tuple[int, int]], size: Size | None) -> Iterator[tuple[int, int]]:
    """The mini-batches of one file as row ranges."""
    total = sum(rows for rows, _ in groups)
    if size is not None and size.unit is Unit.ROWS:
        for first in range(0, total, size.value):
            yield first, min(first + size.value, total)
        return
    first = at = held = 0
    for rows, length in groups:
        if at > first and (size is None or held + length > size.value):
            yield first, at
            first, held = at, 0
        if size is not None and length > size.value:
            pieces = min(-(-length // size.value), rows)
            ends = [at + rows * piece // pieces for piece in range(1, pieces + 1)]
            for end in ends:
                yield first, end
                first = end
        else:
            held += length
        at += rows
    if at > first:
        yield first, at


def _bytes(group: Any, wanted: set[str]) -> int:
    """Decoded bytes of the wanted columns of a row group, as the file's encoding has them."""
    columns = (group.column(at) for at in range(group.num_columns))
    return sum(column.total_uncompressed_size for column in columns if wanted & _owners(column.path_in_schema))


def _columns_with_nulls(groups: list[Any]) -> set[str]:
    """Columns of which some row group has nulls, or does not tell."""
    nulls: set[str] = set()
    for group in groups:
        for at in range(group.num_columns):
            column = group.column(at)
            statistics = column.statistics if column.is_stats_set else None
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                nulls |= _owners(column.path_in_schema)
    return nulls


def _owners(path: str) -> set[str]:
    """Column names that a leaf's path may stand for: itself (names may hold dots) or what it is in."""
    return {path, path.split(".", maxsplit=1)[0]}


def _with_nulls(schema: Any, other: Any) -> Any:
    """The first file's schema, nullable also where another file has nulls."""
    nulls = {field.name for field in other if field.nullable}
    return pa.schema([field.with_nullable(field.nullable or field.name in nulls) for field in schema])


def _cast(table: Any, schema: Any) -> Any:
    """The table in the settled types. Nulls that the plan did not know of are left to `to_pandas`."""
    wanted = pa.schema([field.with_nullable(True) for field in schema])
    return table.select(schema.names).cast(wanted)
