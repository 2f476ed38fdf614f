"""Parquet and Arrow: rows travel as Arrow record batches; rank 0 collects them from the results log into groups.

| returned              | columns are |
| --------------------- | ----------- |
| DataFrame             | its columns; the index is left out |
| list of dicts         | the keys in order of first appearance; a missing key is null |
| list of named tuples  | their fields |
| list of tuples, lists | "0", "1", ... |
| list of scalars       | "value" |
| 1-D array, Series     | "value", or a Series' name; the fields of a structured array |
| array of 2-D and up   | "0", "1", ...; further dimensions are lists |

Types are Arrow's: strings, timestamps, nested lists and dicts stay what they are; NaN is null; a category travels as
its values and, where these are text, is a category again in a Parquet file (of intervals, periods and UUIDs it has the
text); periods, intervals and UUIDs are such again. What Parquet lacks is text in both: pandas' DateOffset, and dicts
that never have a key. A column has one type within a mini-batch (else
InvalidReturn). Between mini-batches types widen by `arrow.wider`, and what does not is refused; a column that is all
null or NaN in one fits any type; the first one's order of columns counts.

With `schema` columns are those named there, cast to the types named there; a key that a dict lacks is null.

A field's metadata says what the types of one mini-batch do not:

    category   the values were one, and are in the file
    empty      there is no value, so that any type will do
    far        times beyond what nanoseconds can hold (the years 1678 to 2262), which do not widen to these
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from mpibatch.arrow import conform, is_list, parse_type, wider
from mpibatch.config.schema import RowFormat
from mpibatch.errors import MpibatchError
from mpibatch.files import replacing
from mpibatch.output.base import Encoded, InvalidReturn
from mpibatch.output.column_storage import CATEGORY, as_final, extension, final, is_category, storable
from mpibatch.output.columns import as_text, columns_of, refuse, to_arrow, utf8
from mpibatch.output.return_values import rows_of

ROW_GROUP = 131_072  # rows
MAX_BUFFERED_BYTES = 1 << 27  # bytes of rows collected at most, where rows are long
_EMPTY, _FAR = b"mpibatch.empty", b"mpibatch.far"


class ColumnarEncoder:
    """The executor's half. The schema is an Arrow schema, the data one record batch, both as IPC messages."""

    def __init__(self, fmt: RowFormat) -> None:
        self._declared = {name: parse_type(kind) for name, kind in (fmt.schema or {}).items()}

    def encode(self, returned: Any) -> Encoded:
        names, arrays, named = self._columns(returned)
        rows = len(arrays[0]) if arrays else 0
        if not rows:
            return Encoded(len(returned), b"")
        if self._declared:
            names, arrays = self._chosen(names, arrays, named, optional=isinstance(returned, list | tuple))
        if len(set(names)) < len(names):
            raise InvalidReturn(f"columns of a Parquet or Arrow file need different names: {names}")
        arrays = [storable(name, array) for name, array in zip(names, arrays, strict=True)]
        fields = [_field(name, array, bool(self._declared)) for name, array in zip(names, arrays, strict=True)]
        plain = [array.dictionary_decode() if is_category(array.type) else array for array in arrays]
        return _encoded(pa.Table.from_arrays(plain, schema=pa.schema(fields)))

    def _columns(self, returned: Any) -> tuple[list[str], list[Any], bool]:
        """Names, arrays, and whether the names are the script's."""
        if not isinstance(returned, list | tuple):
            columns = columns_of(returned, self._mixed, extensions=True)
            return columns.names, columns.arrays, columns.named
        if not returned:
            return [], [], True
        table = rows_of(returned)
        names = table.names or (["value"] if table.scalars else [str(at) for at in range(len(table.rows[0]))])
        arrays = [to_arrow([row[at] for row in table.rows], name, self._mixed) for at, name in enumerate(names)]
        return [utf8(name) for name in names], arrays, table.names is not None

    def _mixed(self, name: str, values: Any, error: Exception) -> Any:
        """A column of several types: text where `schema` says so, else refused."""
        if (kind := self._declared.get(name)) is not None and pa.types.is_string(kind):
            return as_text(name, values, error)
        return refuse(name, values, error)

    def join(self, parts: list[Encoded]) -> Encoded:
        whole: bytes | None = None
        full = [part for part in parts if part.data]
        for part in full:
            merged = merge_schema(whole, part.schema)
            if merged is None:
                raise InvalidReturn(f"parts of one mini-batch differ: {explain_mismatch(whole or b'', part.schema)}")
            whole = merged
        if whole is None:
            return Encoded(sum(part.rows for part in parts), b"")
        schema = _schema(whole)
        joined = _encoded(pa.concat_tables([_table(part.schema, part.data, schema) for part in full]))
        return Encoded(sum(part.rows for part in parts), joined.data, joined.schema)

    def _chosen(self, names: list[str], arrays: list[Any], named: bool, optional: bool) -> tuple[list[str], list[Any]]:
        """The declared columns in their types. optional: null for those that are not there; one of them has to be."""
        wanted = list(self._declared)
        if not named and len(names) == len(wanted):
            names = wanted
        missing = [name for name in wanted if name not in names]
        if missing and not (optional and named and len(missing) < len(wanted)):
            raise InvalidReturn(f"columns of append_row_format.schema are missing: {missing}; there are {names}")
        chosen = []
        for name, kind in self._declared.items():
            array = pa.nulls(len(arrays[0])) if name in missing else arrays[names.index(name)]
            try:
                chosen.append(_cast(array, kind))
            except (pa.ArrowException, TypeError) as error:
                raise InvalidReturn(f"column {name!r} is no {kind}: {error}") from error
        return wanted, chosen


def _cast(array: Any, kind: Any) -> Any:
    """The array in a declared type; text for what is to be a string and has no cast."""
    plain = array.dictionary_decode() if is_category(array.type) else array
    wanted = kind.value_type if is_category(kind) else kind
    if plain.null_count == len(plain):
        found = pa.nulls(len(plain), wanted)
    elif pa.types.is_string(wanted) and (pa.types.is_nested(plain.type) or pa.types.is_duration(plain.type)):
        found = as_text("", plain.to_pylist(), TypeError())
    else:
        found = conform(plain, wanted, safe=True)
    return found.dictionary_encode() if is_category(kind) else found


class ColumnarFormat(ABC):
    """Rank 0's half."""

    has_categories: bool  # the file can hold such as differ between groups

    def __init__(self, fmt: RowFormat) -> None:
        self._declared = {name: parse_type(kind) for name, kind in (fmt.schema or {}).items()}

    @abstractmethod
    def table_writer(self, file: Any, schema: Any) -> Any:
        """A context manager whose `write_table(table, rows)` writes groups of at most so many rows."""

    @abstractmethod
    def read(self, path: Path) -> Any: ...

    def merge_schema(self, declared: bytes | None, schema: bytes) -> bytes | None:
        return merge_schema(declared, schema)

    def explain_mismatch(self, declared: bytes, schema: bytes) -> str:
        return explain_mismatch(declared, schema)

    def finalize(self, path: Path, schema: bytes, parts: Iterable[tuple[bytes, bytes]]) -> None:
        """Row groups as `CollectedRows` makes them. Raises OSError.

        The file has another name until it is whole.
        """
        kinds = self.kinds(schema)
        with explained(path, schema), replacing(path) as file, self.table_writer(file, kinds) as writer:
            rows = CollectedRows()
            for of_batch, data in parts:
                rows.add(of_batch, data)
                if rows.is_full:
                    writer.write_table(self.final_rows(schema, rows, last=False), ROW_GROUP)
            if rows.rows:
                writer.write_table(self.final_rows(schema, rows, last=True), ROW_GROUP)

    def kinds(self, schema: bytes) -> Any:
        """The columns of the file, as an Arrow schema."""
        return pa.schema([final(field, self.has_categories) for field in self._merged(schema)])

    def final_rows(self, schema: bytes, rows: "CollectedRows", last: bool) -> Any:
        """A table of whole groups as the file has them, taken from `rows`; of the last all."""
        return as_final(rows.take(self._merged(schema), last), self.kinds(schema))

    def _merged(self, schema: bytes) -> Any:
        return _schema(schema) if schema else pa.schema(list(self._declared.items()))


class CollectedRows:
    """Rows in plan order, in the types of their mini-batches: groups of ROW_GROUP rows, or of as many as have
    MAX_BUFFERED_BYTES, where rows are long. Where a group ends follows from the rows before it alone."""

    def __init__(self) -> None:
        self._batches: list[tuple[Any, int]] = []  # and how many rows of each are left out
        self._bytes = 0
        self.rows = 0

    def add(self, schema: bytes, data: bytes, skip: int = 0) -> int:
        batch = pa.ipc.read_record_batch(pa.py_buffer(data), _schema(schema))
        self._batches.append((batch, skip))
        self._bytes += 0 if skip else len(data)
        self.rows += len(batch) - skip
        return len(batch)

    @property
    def is_full(self) -> bool:
        return self.rows >= ROW_GROUP or self._bytes >= MAX_BUFFERED_BYTES

    def take(self, merged: Any, last: bool) -> Any:
        """A table of what fills groups; of long rows, and of the last, all. What is left is of one mini-batch."""
        whole = self.rows if last else self.rows // ROW_GROUP * ROW_GROUP or self.rows
        table = pa.concat_tables([_settled(batch, merged).slice(skip) for batch, skip in self._batches])
        batch, _ = self._batches[-1]
        left = self.rows - whole
        self._batches = [(batch, len(batch) - left)] if left else []
        self.rows, self._bytes = left, 0
        return table.slice(0, whole)


@contextmanager
def explained(path: Path, schema: bytes) -> Iterator[None]:
    """MpibatchError for what Arrow says of columns that `path` cannot have."""
    try:
        yield
    except (pa.ArrowException, ValueError) as error:
        raise MpibatchError(
            f"{path} cannot be made of {_described(schema)}: {error}; declare types with append_row_format.schema"
        ) from error


def merge_schema(declared: bytes | None, schema: bytes) -> bytes | None:
    """The schema that takes both; None where names differ, or types have nothing in common."""
    if not declared or declared == schema:
        return schema
    return _widened(declared, schema)


def explain_mismatch(declared: bytes, schema: bytes) -> str:
    return (
        f"the file has {_described(declared)}, this mini-batch returned {_described(schema)}; declare names and types "
        "that suit both with append_row_format.schema"
    )


@lru_cache(maxsize=1024)
def _widened(declared: bytes, schema: bytes) -> bytes | None:
    ours, theirs = _schema(declared), _schema(schema)
    if sorted(ours.names) != sorted(theirs.names):
        return None
    fields = [_wider_field(field, theirs.field(field.name)) for field in ours]
    if any(field is None for field in fields):
        return None
    return cast(bytes, pa.schema(fields).serialize().to_pybytes())


def _wider_field(one: Any, other: Any) -> Any:
    """The field that takes the values of both, or None."""
    ours, theirs = one.metadata or {}, other.metadata or {}
    if one.type == other.type and ours == theirs:
        return one
    for empty, full in ((ours, other), (theirs, one)):
        if _EMPTY in empty and _EMPTY not in (full.metadata or {}):
            return full
    kind = wider(one.type, other.type)
    marks = {**ours, **theirs}
    if kind is None or extension(ours) != extension(theirs):
        return None
    if _FAR in marks and kind != (one if _FAR in ours else other).type:
        return None
    if _EMPTY in marks and not (_EMPTY in ours and _EMPTY in theirs):
        del marks[_EMPTY]
    return pa.field(one.name, kind, metadata=marks or None)


@lru_cache(maxsize=1024)
def _schema(data: bytes) -> Any:
    return pa.ipc.read_schema(pa.py_buffer(data))


def _described(schema: bytes) -> str:
    return "the columns " + ", ".join(f"{field.name}: {_type_name(field)}" for field in _schema(schema))


def _type_name(field: Any) -> str:
    """Arrow's, and what pandas says of its own types, such as the frequency of periods."""
    kind, marks = field.type, field.metadata or {}
    said = marks.get(b"ARROW:extension:metadata", b"")
    if isinstance(kind, pa.ExtensionType):  # one that this process knows
        said = kind.__arrow_ext_serialize__()
    name = marks.get(b"ARROW:extension:name", b"").decode() or str(kind)
    return f"{name} {said.decode(errors='replace')}".strip()


def _field(name: str, array: Any, declared: bool) -> Any:
    """The field of a column with what its type does not say. declared: types are given, and do not give way."""
    category = is_category(array.type)
    kind = array.type.value_type if category else array.type
    marks = {CATEGORY: b""} if category else {}
    if array.null_count == len(array) and not declared:
        marks[_EMPTY] = b""
    if not category and _is_far(array):
        marks[_FAR] = b""
    return pa.field(name, kind, metadata=marks or None)


def _is_far(array: Any) -> bool:
    kind = array.type
    if pa.types.is_struct(kind):
        return any(_is_far(array.field(at)) for at in range(kind.num_fields))
    if is_list(kind):
        return _is_far(array.flatten())
    if not (pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_date(kind)):
        return False
    if pa.types.is_date(kind):
        wanted = pa.timestamp("ns")
    else:
        wanted = pa.duration("ns") if pa.types.is_duration(kind) else pa.timestamp("ns", kind.tz)
    try:
        array.cast(wanted)
    except pa.ArrowException:
        return True
    return False


def _encoded(table: Any) -> Encoded:
    (batch,) = table.combine_chunks().to_batches() or [None]
    return Encoded(table.num_rows, batch.serialize().to_pybytes(), table.schema.serialize().to_pybytes())


def _table(schema: bytes, data: bytes, merged: Any) -> Any:
    return _settled(pa.ipc.read_record_batch(pa.py_buffer(data), _schema(schema)), merged)


def _settled(batch: Any, merged: Any) -> Any:
    """One mini-batch's rows in the settled types."""
    arrays = [conform(batch.column(batch.schema.get_field_index(field.name)), field.type) for field in merged]
    return pa.Table.from_arrays(arrays, schema=merged)
