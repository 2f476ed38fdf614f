"""One file of groups of rows, and the reader that keeps what it has decoded last.

    file --open_groups--> GroupedFile --GroupReader.read(first, last)--> table

A group of up to CACHE_BYTES is decoded whole and kept; a larger one is read on in batches, from its start if the piece
wanted is not the next one.
"""

import os
import weakref
from collections.abc import Callable, Iterator, Set
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from mpibatch.datasets.base import FileIdentity, LoadError
from mpibatch.datasets.file_identity import ensure_unchanged
from mpibatch.datasets.file_io import open_file
from mpibatch.datasets.schemas import decode_dictionaries

CACHE_BYTES = 1 << 27  # decoded bytes of a group that is kept whole
_BATCH = 1 << 14  # rows read on at a time from a larger one


class GroupedFile(Protocol):
    """A table in an open file, which stays open as long as this. Its methods raise OSError and ArrowException."""

    @property
    def names(self) -> list[str]:
        """Of the columns."""

    @property
    def rows(self) -> list[int]:
        """Of each group."""

    @property
    def schema(self) -> Any:
        """Arrow's."""

    def group_bytes(self, group: int, columns: Set[str]) -> int:
        """Decoded bytes of these columns, about."""

    def described(self) -> Any:
        """The schema, with what the values tell (see schemas.py): nulls, large integers, columns without a value."""

    def read_group(self, group: int, columns: list[str] | None) -> Any:
        """A table of these columns, or of all."""

    def read_batches(self, group: int, columns: list[str] | None, rows: int) -> Iterator[Any]:
        """The same in record batches of about so many rows, not held all at once."""


class GroupReader:
    """An open file and the row group decoded last."""

    def __init__(
        self,
        path: str,
        planned: FileIdentity | None,
        open_groups: Callable[[BinaryIO], GroupedFile],
        columns: list[str] | None,
        optional: Set[str] = frozenset(),
    ) -> None:
        """optional: columns that the file need not have."""
        self.path = path
        self._file = open_file(path)
        weakref.finalize(self, self._file.close)
        try:
            self._ensure_planned(planned)
            self._table = open_groups(self._file)
        except BaseException:
            self._file.close()
            raise
        names = self._table.names
        if missing := [name for name in columns or [] if name not in names and name not in optional]:
            self._file.close()
            raise LoadError(f"the file lacks the columns {missing}; it has {names}")
        chosen = [name for name in columns or [] if name in names]
        self._columns = None if columns is None else chosen or names[:1]  # a table without columns forgets its rows
        self._starts = [0]
        for rows in self._table.rows:
            self._starts.append(self._starts[-1] + rows)
        self.rows = self._starts[-1]
        self._group = -1
        self._decoded: Any = None
        self._stream: Iterator[Any] = iter(())
        self._rest: Any = None  # what the stream has given beyond them
        self._streamed = 0  # rows of the group passed so far

    def close(self) -> None:
        self._file.close()

    def _ensure_planned(self, planned: FileIdentity | None) -> None:
        if planned is not None:
            ensure_unchanged(self.path, planned, os.fstat(self._file.fileno()))

    def read(self, first: int, last: int, planned: FileIdentity | None) -> Any:
        """Rows [first, last) as a table. Raises OSError, ArrowException, LoadError also where the file has changed."""
        table = self._read(first, last)
        self._ensure_planned(planned)
        return table

    def _read(self, first: int, last: int) -> Any:
        if last > self.rows:
            raise LoadError(f"the file has {self.rows} rows; was it changed since the plan was made?")
        parts = []
        for group, start in enumerate(self._starts[:-1]):
            begin, end = max(first, start), min(last, self._starts[group + 1])
            if begin < end:
                parts.append(self._read_group(group, begin - start, end - start))
        if not parts:
            schema = self._table.schema
            names = schema.names if self._columns is None else self._columns
            return decode_dictionaries(pa.schema([schema.field(name) for name in names]).empty_table())
        return pa.concat_tables(parts)

    def _read_group(self, group: int, first: int, last: int) -> Any:
        if self._table.group_bytes(group, set(self._columns or self._table.names)) > CACHE_BYTES:
            return self._read_on(group, first, last)
        if group != self._group or self._decoded is None:
            self._decoded = None  # freed before the next one is decoded
            self._decoded = decode_dictionaries(self._table.read_group(group, self._columns))
            self._group = group
        return self._decoded.slice(first, last - first)

    def _read_on(self, group: int, first: int, last: int) -> Any:
        if group != self._group or self._decoded is not None or first < self._streamed:
            self._decoded, self._group, self._streamed = None, group, 0
            self._stream = self._table.read_batches(group, self._columns, _BATCH)
            self._rest = None
        parts: list[Any] = []
        while self._streamed < last:
            table = (
                self._rest
                if self._rest is not None
                else decode_dictionaries(pa.Table.from_batches([next(self._stream)]))
            )
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
