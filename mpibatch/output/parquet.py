"""Parquet: rows travel as Arrow record batches; rank 0 makes the file at the end, from the results log.

| returned              | columns are |
| --------------------- | ----------- |
| DataFrame             | its columns; the index is left out |
| list of dicts         | the keys in order of first appearance; a missing key is null |
| list of named tuples  | their fields |
| list of tuples, lists | "0", "1", ... |
| list of scalars       | "value" |
| 1-D array, Series     | "value", or a Series' name; the fields of a structured array |
| array of 2-D and up   | "0", "1", ...; further dimensions are lists |

Types are Arrow's: strings, timestamps, nested lists and dicts stay what they are; NaN is null; a category
travels as its values and is a category again in the file. A column has one type within a mini-batch (else
WrongReturn). Between mini-batches null widens to any type, integers to wider ones and to floats; the first
one's order of columns counts.

With `schema` columns are those named there, cast to the types named there.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from mpibatch.columns import parse_type
from mpibatch.config.schema import RowFormat
from mpibatch.output.base import Encoded, WrongReturn
from mpibatch.output.returned import rows_of
from mpibatch.output.tables import columns_of, one_array, refuse

ROW_GROUP = 131_072  # rows
HELD = 1 << 27  # bytes of rows collected at most, where rows are long
_CATEGORY = {b"mpibatch": b"category"}


class ParquetEncoder:
    """The executor's half. The schema is an Arrow schema, the data one record batch, both as IPC messages."""

    def __init__(self, fmt: RowFormat) -> None:
        self._declared = {name: parse_type(kind) for name, kind in (fmt.schema or {}).items()}

    def encode(self, returned: Any) -> Encoded:
        names, arrays, named = _columns(returned)
        rows = len(arrays[0]) if arrays else 0
        if not rows:
            return Encoded(len(returned), b"")
        if self._declared:
            names, arrays = self._chosen(names, arrays, named)
        if len(set(names)) < len(names):
            raise WrongReturn(f"columns of a Parquet file need different names: {names}")
        fields, plain = [], []
        for name, array in zip(names, arrays, strict=True):
            category = _is_category(array.type)
            plain.append(array.cast(array.type.value_type) if category else array)
            fields.append(pa.field(name, plain[-1].type, metadata=_CATEGORY if category else None))
        return _encoded(pa.Table.from_arrays(plain, schema=pa.schema(fields)))

    def join(self, parts: list[Encoded]) -> Encoded:
        whole: bytes | None = None
        full = [part for part in parts if part.data]
        for part in full:
            settled = settle(whole, part.schema)
            if settled is None:
                raise WrongReturn(f"parts of one mini-batch differ: {explain(whole or b'', part.schema)}")
            whole = settled
        if whole is None:
            return Encoded(sum(part.rows for part in parts), b"")
        schema = _schema(whole)
        joined = _encoded(pa.concat_tables([_table(part.schema, part.data, schema) for part in full]))
        return Encoded(sum(part.rows for part in parts), joined.data, joined.schema)

    def _chosen(self, names: list[str], arrays: list[Any], named: bool) -> tuple[list[str], list[Any]]:
        wanted = list(self._declared)
        if not named and len(names) == len(wanted):
            names = wanted
        if missing := [name for name in wanted if name not in names]:
            raise WrongReturn(f"columns of append_row_format.schema are missing: {missing}; there are {names}")
        chosen = []
        for name, kind in self._declared.items():
            array = arrays[names.index(name)]
            try:
                plain = array.cast(array.type.value_type) if _is_category(array.type) else array
                wanted_type = kind.value_type if _is_category(kind) else kind
                cast_array = plain.cast(wanted_type)
                chosen.append(cast_array.dictionary_encode() if _is_category(kind) else cast_array)
            except pa.ArrowException as error:
                raise WrongReturn(f"column {name!r} is no {kind}: {error}") from error
        return wanted, chosen


class ParquetFinalizer:
    """Rank 0's half."""

    def __init__(self, fmt: RowFormat) -> None:
        self._declared = {name: parse_type(kind) for name, kind in (fmt.schema or {}).items()}

    def settle(self, declared: bytes | None, schema: bytes) -> bytes | None:
        return settle(declared, schema)

    def explain(self, declared: bytes, schema: bytes) -> str:
        return explain(declared, schema)

    def finalize(self, path: Path, schema: bytes, parts: Iterable[tuple[bytes, bytes]]) -> None:
        """Row groups of ROW_GROUP rows, fewer where they would be more than HELD bytes. Raises OSError.

        The file has another name until it is whole.
        """
        settled = _schema(schema) if schema else pa.schema(list(self._declared.items()))
        final = pa.schema([_final(field) for field in settled])
        temporary = path.with_name(f".{path.name}.partial")
        try:
            with open(temporary, "wb") as file:
                with pq.ParquetWriter(file, final) as writer:
                    for table in _groups(settled, parts):
                        writer.write_table(_as_final(table, final), ROW_GROUP)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def settle(declared: bytes | None, schema: bytes) -> bytes | None:
    """The schema that takes both; None where names differ, or types have nothing in common."""
    if not declared or declared == schema:
        return schema
    return _widened(declared, schema)


def explain(declared: bytes, schema: bytes) -> str:
    return f"the file has {_described(declared)}, this mini-batch returned {_described(schema)}"


@lru_cache(maxsize=1024)
def _widened(declared: bytes, schema: bytes) -> bytes | None:
    ours, theirs = _schema(declared), _schema(schema)
    if sorted(ours.names) != sorted(theirs.names):
        return None
    fields = []
    for field in ours:
        pair = [field.type, theirs.field(field.name).type]
        if set(pair) == {pa.int64(), pa.uint64()}:  # neither holds the other
            return None
        try:
            wider = pa.unify_schemas([pa.schema({"x": kind}) for kind in pair], promote_options="permissive")
        except pa.ArrowException:
            return None
        fields.append(field.with_type(wider.field("x").type))
    return cast(bytes, pa.schema(fields).serialize().to_pybytes())


@lru_cache(maxsize=1024)
def _schema(data: bytes) -> Any:
    return pa.ipc.read_schema(pa.py_buffer(data))


def _described(schema: bytes) -> str:
    return "the columns " + ", ".join(f"{field.name}: {field.type}" for field in _schema(schema))


def _columns(returned: Any) -> tuple[list[str], list[Any], bool]:
    """Names, arrays, and whether the names are the script's."""
    if not isinstance(returned, list | tuple):
        columns = columns_of(returned, refuse)
        return columns.names, columns.arrays, columns.named
    if not returned:
        return [], [], True
    table = rows_of(returned)
    names = table.names or (["value"] if table.scalars else [str(at) for at in range(len(table.rows[0]))])
    arrays = [one_array([row[at] for row in table.rows], name, refuse) for at, name in enumerate(names)]
    return names, arrays, table.names is not None


def _encoded(table: Any) -> Encoded:
    (batch,) = table.combine_chunks().to_batches() or [None]
    return Encoded(table.num_rows, batch.serialize().to_pybytes(), table.schema.serialize().to_pybytes())


def _table(schema: bytes, data: bytes, settled: Any) -> Any:
    """One mini-batch's rows in the settled types."""
    batch = pa.ipc.read_record_batch(pa.py_buffer(data), _schema(schema))
    arrays = []
    for field in settled:
        array = batch.column(batch.schema.get_field_index(field.name))
        # Whole numbers beyond 2**53 lose digits as floats, which is what widening means.
        arrays.append(array.cast(field.type, safe=not pa.types.is_floating(field.type)))
    return pa.Table.from_arrays(arrays, schema=settled)


def _groups(settled: Any, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[Any]:
    """Tables of the rows of a row group each."""
    held: list[Any] = []
    rows = size = 0
    for schema, data in parts:
        table = _table(schema, data, settled)
        held.append(table)
        rows += table.num_rows
        size += len(data)
        if rows >= ROW_GROUP or size >= HELD:
            whole = pa.concat_tables(held)
            full = rows // ROW_GROUP * ROW_GROUP or rows
            yield whole.slice(0, full)
            held, rows, size = [whole.slice(full)], rows - full, 0
    if rows:
        yield pa.concat_tables(held)


def _final(field: Any) -> Any:
    if field.metadata == _CATEGORY:
        return pa.field(field.name, pa.dictionary(pa.int32(), field.type))
    return field.remove_metadata()


def _as_final(table: Any, final: Any) -> Any:
    arrays = [
        column.dictionary_encode() if _is_category(field.type) else column
        for column, field in zip(table.columns, final, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=final)


def _is_category(kind: Any) -> bool:
    return bool(pa.types.is_dictionary(kind))
