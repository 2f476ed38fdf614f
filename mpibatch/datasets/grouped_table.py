"""Tables in binary files of typed columns and groups of rows: what Parquet, Arrow and ORC share.

    mini_batch_size   none      one group of rows
                      bytes     groups of a file joined up to that many decoded bytes, or pieces of one
                      N rows    N rows, whatever the groups

Plan describes every file (spread by `parallel_map`). Pieces of a group follow each other in the plan, and the loader
keeps the group that it decoded last (grouped_file.py), so that an executor that is granted neighbours decodes a group
once.

Types are settled over all files: a file without a value in a column decides nothing, integers and floats widen (see
schemas.py). The columns are those of the first file, in any order: others are left out with a warning, and a column
that `columns` names may be missing from a file, and is null there. An index that pandas wrote is no column, unless
`columns` names it. Folders called `y=2020` are columns too (see hive.py).
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import hive
from mpibatch.datasets.base import FileIdentity, LoadError
from mpibatch.datasets.file_identity import identity_of
from mpibatch.datasets.file_io import data_files, open_file
from mpibatch.datasets.grouped_file import GroupedFile, GroupReader
from mpibatch.datasets.pandas_metadata import index_columns
from mpibatch.datasets.paths import root_of
from mpibatch.datasets.schemas import (
    check_distinct,
    check_types,
    dump_schema,
    load_schema,
    merge,
    resolve_schema,
    settle,
)
from mpibatch.datasets.settled_table import SettledTable
from mpibatch.datasets.table_base import UNREADABLE, EmptyFiles, NumberedRows, Span, SpanCodec
from mpibatch.errors import InputError
from mpibatch.types import UNKNOWN, Map, Split


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What planning needs of one file. groups: rows and decoded bytes of each group; schema: packed.

    planned: what the file was when it was opened, None of a URL
    """

    groups: list[tuple[int, int]]
    schema: bytes
    planned: FileIdentity | None


class GroupedTable(SettledTable, NumberedRows):
    """One input of a format whose files have groups of rows."""

    reads_data = True
    unit = "rows"

    def __init__(self, spec: Input, size: Size | None) -> None:
        if size is not None and size.unit is Unit.ITEMS:
            raise InputError(f"input {spec.name!r}: mini_batch_size of {spec.type} is bytes, or 'N rows'")
        self._spec = spec
        self._size = size
        self._span_codec = SpanCodec(spec)
        self._root = root_of(spec)
        self._empty = EmptyFiles(spec)
        self._notes: tuple[str, ...] = ()
        self._schema: Any = None
        self._open: GroupReader | None = None

    @property
    def warnings(self) -> Sequence[str]:
        return (*self._notes, *self._empty.warnings)

    @abstractmethod
    def open_groups(self, file: BinaryIO) -> GroupedFile:
        """The table in an open file. Raises OSError, ArrowException and LoadError."""

    # Planning

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        merged: Any = None
        extra: dict[str, str] = {}
        lacking: set[str] = set()
        index: set[str] = set()
        paths = list(data_files(self._spec))
        for path, summary in zip(paths, parallel_map(self.summarize, paths), strict=True):
            self._empty.seen(path, has_rows=summary is None or any(rows for rows, _ in summary.groups))
            if summary is None:
                yield Split(self._span_codec.pack(Span(path, 0, 0, UNREADABLE)))
                continue
            schema = load_schema(summary.schema)
            check_distinct(self._spec, path, schema.names)
            index |= index_columns(schema)
            if merged is None:
                merged = schema
            for name in schema.names if len(merged) else []:
                if name not in merged.names:
                    extra.setdefault(name, path)
            lacking.update(name for name in merged.names if name not in schema.names)
            merged = schema if not len(merged) else merge(merged, schema, text=False)
            for first, last in _cuts(summary.groups, self._size):
                span = Span(path, first, last, planned=summary.planned)
                yield Split(self._span_codec.pack(span), last - first)
        if merged is not None:
            optional = lacking.union(extra).intersection(self._spec.columns)
            fields = [field.with_nullable(True) if field.name in optional else field for field in merged]
            self._schema = resolve_schema(self._spec, self._all_columns(fields, extra, index, paths))

    def _all_columns(self, merged: list[Any], extra: dict[str, str], index: set[str], paths: list[str]) -> Any:
        """The columns to choose from.

        extra: those that only later files have, and the first such file
        index: those that pandas wrote as the index
        """
        wanted = self._spec.columns
        fields = [field for field in merged if field.name not in extra or field.name in wanted]
        if dropped := [name for name in extra if not wanted]:
            self._notes += (
                f"input {self._spec.name!r}: the columns {dropped} are not in all files ({extra[dropped[0]]} has them)"
                " and are left out; `columns` can name them",
            )
        fields += hive.fields(paths, self._root, {field.name for field in fields})
        return pa.schema([field for field in fields if wanted or field.name not in index])

    def summarize(self, path: str) -> FileSummary | None:
        """What one file holds; None if it cannot be read."""
        try:
            planned = identity_of(path)
            with open_file(path) as file:
                found = self.open_groups(file)
                wanted = set(self._spec.columns or found.names)
                sizes = [found.group_bytes(group, wanted) for group in range(len(found.rows))]
                schema = found.described()
                return FileSummary(list(zip(found.rows, sizes, strict=True)), dump_schema(schema), planned)
        except (OSError, LoadError, pa.ArrowException):
            return None

    # Loading

    def table(self, span: Span) -> Any:
        """The rows of a span with the settled types. Raises LoadError, without naming the place."""
        try:
            if self._open is None or self._open.path != span.path:
                self._close()
                optional = set(self._spec.columns)
                self._open = GroupReader(span.path, span.planned, self.open_groups, self._wanted(), optional)
            last = self._open.rows if span.flags & UNREADABLE else span.last
            table = self._open.read(span.first, last, span.planned)
            if self._schema is None:
                return table
            of_files = hive.of_files(self._schema)
            for name in of_files.names:
                if name not in table.column_names:
                    table = table.append_column(name, pa.nulls(table.num_rows))
            check_types(table, of_files)
            return hive.with_columns(settle(table, of_files), span.path, self._root, self._schema)
        except pa.ArrowException as error:
            self._close()
            raise LoadError(str(error)) from error
        except (OSError, LoadError):
            self._close()
            raise

    def _wanted(self) -> list[str] | None:
        if self._schema is not None:
            return list(hive.of_files(self._schema).names)
        return list(self._spec.columns) or None

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def count_items(self, payload: bytes) -> int:
        span = self._span_codec.unpack(payload)
        if not span.flags & UNREADABLE:
            return span.last - span.first
        summary = self.summarize(span.path)
        return UNKNOWN if summary is None else sum(rows for rows, _ in summary.groups)


def _cuts(groups: list[tuple[int, int]], size: Size | None) -> Iterator[tuple[int, int]]:
    """The mini-batches of one file as row ranges."""
    total = sum(rows for rows, _ in groups)
    if size is not None and size.unit is Unit.ROWS:
        for first in range(0, total, size.value):
            yield first, min(first + size.value, total)
        return
    first = at = joined_bytes = 0
    for rows, length in groups:
        if at > first and (size is None or joined_bytes + length > size.value):
            yield first, at
            first, joined_bytes = at, 0
        if size is not None and length > size.value:
            pieces = min(-(-length // size.value), rows)
            ends = [at + rows * piece // pieces for piece in range(1, pieces + 1)]
            for end in ends:
                yield first, end
                first = end
        else:
            joined_bytes += length
        at += rows
    if at > first:
        yield first, at
