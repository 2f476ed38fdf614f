"""One schema for all mini-batches of a table input, and from Arrow to pandas without types that change.

    plan: samples --merge--> Arrow schema --(column_types)--> resolved --dump_state--> bytes --load_state--> executors

A field is nullable if the samples (or a Parquet footer) hold a null in that column. What pandas would turn
into another type as soon as a slice happens to hold a null is settled for all slices:

| column           | no null in the samples | a null in the samples |
| ---------------- | ---------------------- | --------------------- |
| integers         | the integer type       | float64, NaN for null; beyond 2**53 pandas' Int64, which loses no digit |
| bool             | bool                   | object, None for null |
| all others       | the type pandas gives  | the same              |

A null that turns up later in a column settled as integers or bool is a LoadError that says how to declare the
type, and so is an integer that a settled float64 does not hold. The nullable pandas types (`Int64`, `boolean`, ...) can
be declared in `column_types`, or come with a Parquet file that pandas wrote, and take nulls as they are. pandas itself
is imported where a DataFrame is made, and not by rank 0, which only plans.

A field's metadata says what its type does not: the nullable type wanted (`pandas`), integers beyond 2**53 (`big`), a
column of a file without any value (`void`), which decides nothing, a column that is in the names of folders (`folder`),
and, where `column_types` declares a type, the field that was found (`found`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from mpibatch.arrow import conform, parse_type, plain_type, wider
from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NULLABLE = (
    "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "boolean",
)  # fmt: skip
PANDAS, BIG, VOID, FOLDER, FOUND = b"pandas", b"big", b"void", b"folder", b"found"
EXACT = 1 << 53
"""float64 holds every integer up to here."""


def merge(first: Any, second: Any, text: bool) -> Any:
    """The schema that takes what both take; columns of both, those of `first` in front.

    text: a column of several types is a column of strings (CSV); otherwise the first type stays (JSON, Parquet)
    """
    fields = {field.name: field for field in first}
    for field in second:
        seen = fields.get(field.name)
        fields[field.name] = field if seen is None else _merge_field(seen, field, text)
    return pa.schema(list(fields.values()))


def _merge_field(one: Any, other: Any, text: bool) -> Any:
    ours, theirs = one.metadata or {}, other.metadata or {}
    nullable = one.nullable or other.nullable
    if VOID in ours or VOID in theirs:
        full = other if VOID in ours else one
        return full.with_nullable(nullable)
    kind = _merge_types(one.type, other.type, text)
    marks = {**ours, **theirs}
    if text and BIG in marks and pa.types.is_floating(kind):
        kind = pa.string()
    if kind not in (one.type, other.type):
        marks.pop(PANDAS, None)
    return pa.field(one.name, kind, nullable, marks or None)


def _merge_types(a: Any, b: Any, text: bool) -> Any:
    if text and pa.types.is_timestamp(a) != pa.types.is_timestamp(b) and pa.string() in (a, b):
        return pa.string()
    found = wider(a, b)
    if found is not None:
        return found
    return pa.string() if text else a


def nullable_unless_in_all(field: Any, schemas: Sequence[Any]) -> Any:
    """A field that these were merged to, where rows that lack it have null there."""
    return field.with_nullable(field.nullable or any(field.name not in schema.names for schema in schemas))


def observed(table: Any) -> Any:
    """The schema of a sample; nullable where it holds a null."""
    columns = zip(table.schema, table.columns, strict=True)
    return pa.schema([_observed(field, column) for field, column in columns])


def _observed(field: Any, column: Any) -> Any:
    marks = dict(field.metadata or {})
    if pa.types.is_integer(field.type) and field.type.bit_width == 64 and is_big(*extremes(column)):
        marks[BIG] = b""
    return pa.field(field.name, field.type, column.null_count > 0 or pa.types.is_null(field.type), marks or None)


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """Of a column of a file. least, largest: of integers, None where nothing is known of them."""

    rows: int
    nulls: int
    least: Any = None
    largest: Any = None

    def joined(self, column: Any) -> "ColumnFacts":
        """With those of one more piece of the column."""
        here = extremes(column) if pa.types.is_integer(column.type) else (None, None)
        values = [value for value in (self.least, self.largest, *here) if value is not None]
        bounds = (min(values), max(values)) if values else (None, None)
        return ColumnFacts(self.rows + len(column), self.nulls + column.null_count, *bounds)


def marked_field(field: Any, facts: ColumnFacts, marks: dict[bytes, bytes]) -> Any:
    """The field of a file's column with what its values tell; it is nullable where it has, or may have, nulls."""
    plain = pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)
    void = pa.types.is_null(field.type)
    if not facts.rows or facts.nulls == facts.rows or void:
        marks[VOID] = b""
    if pa.types.is_integer(field.type) and is_big(facts.least, facts.largest):
        marks[BIG] = b""
    nullable = void or facts.nulls > 0 or (not plain and facts.rows > 0)
    return pa.field(field.name, field.type, nullable, marks or None)


def extremes(column: Any) -> tuple[Any, Any]:
    """The least and the largest value, None where there is none."""
    import pyarrow.compute as pc

    found = pc.min_max(column).as_py()
    return found["min"], found["max"]


def is_big(least: Any, largest: Any) -> bool:
    """Whether numbers reach beyond those that float64 holds exactly."""
    return largest is not None and (largest >= EXACT or least <= -EXACT)


def is_exact(number: int) -> bool:
    """Whether float64 holds this number."""
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


def check_distinct(spec: Input, path: str, names: list[str]) -> None:
    """Raises InputError for a file with several columns of one name, if they are to be read."""
    if repeated := sorted({name for name in spec.columns or names if names.count(name) > 1}):
        raise InputError(
            f"input {spec.name!r}: {path}: several columns are called {repeated}; choose others with `columns`"
        )


def resolve_schema(spec: Input, schema: Any) -> Any:
    """The schema of the samples after `columns` and `column_types`.

    Raises InputError for columns that there are not, and for types that there are not.
    """
    if spec.type is InputType.JSONL:  # a field may be in rows that no sample has
        later = [pa.field(name, pa.null()) for name in spec.column_types if name not in schema.names]
        schema = pa.schema([*schema, *later])
    names = list(schema.names)
    for setting, wanted in (("columns", list(spec.columns)), ("column_types", list(spec.column_types))):
        if missing := [name for name in wanted if name not in names]:
            raise InputError(f"input {spec.name!r}: {setting} names {missing}, but the columns are {names}")
    fields = []
    for name in spec.columns or names:
        field = schema.field(name)
        if name in spec.column_types:
            marks = {FOLDER: b""} if FOLDER in (field.metadata or {}) else {FOUND: dump_schema(pa.schema([field]))}
            declared = _declared(spec, name)
            field = declared.with_metadata({**(declared.metadata or {}), **marks})
        fields.append(field)
    return pa.schema(fields)


def _declared(spec: Input, name: str) -> Any:
    asked = spec.column_types[name]
    if asked in NULLABLE:
        kind = parse_type("bool" if asked == "boolean" else asked)
        return pa.field(name, kind, metadata={PANDAS: asked.encode()})
    try:
        kind = parse_type(asked)
    except ValueError as error:
        raise InputError(f"input {spec.name!r}: column_types, {name!r}: {error}") from error
    if pa.types.is_dictionary(kind):
        raise InputError(
            f"input {spec.name!r}: column_types, {name!r}: the categories of a 'category' would differ"
            " between mini-batches; read 'string' and convert in the script"
        )
    return pa.field(name, kind, nullable=not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)))


def to_pandas(table: Any, schema: Any) -> "pd.DataFrame":
    """The table, whose columns have the types of `schema`, as a DataFrame with index 0..n-1.

    Raises LoadError for a null where the settled type takes none.
    """
    import pandas as pd

    table = decode_dictionaries(table)
    if not table.num_columns:
        return pd.DataFrame(index=pd.RangeIndex(table.num_rows))
    objects, nullable = [], {}
    for at, field in enumerate(schema):
        whole = pa.types.is_integer(field.type)
        asked = (field.metadata or {}).get(PANDAS) or _exact(field)
        if asked:
            nullable[at] = _nullable(asked.decode())
        elif not field.nullable and table.column(at).null_count and (whole or pa.types.is_boolean(field.type)):
            advice = "float64 or Int64" if whole else "boolean or string"
            raise LoadError(
                f"column {field.name!r} has no value in some row, but was settled as {field.type};"
                f" declare it: column_types: {{{field.name}: {advice}}}"
            )
        elif field.nullable and whole:
            table = table.set_column(at, field.name, _as_float(field.name, table.column(at)))
        elif field.nullable and pa.types.is_boolean(field.type):
            objects.append(at)
    try:
        # integers within lists and dicts keep their digits beside nulls
        options = {"date_as_object": False, "ignore_metadata": True, "integer_object_nulls": True}
        frame = cast("pd.DataFrame", table.to_pandas(**options))
    except pa.ArrowException as error:
        kinds = ", ".join(f"{field.name}: {field.type}" for field in table.schema)
        raise LoadError(
            f"pandas cannot hold these columns, {kinds}: {error}; declare another type, column_types: {{NAME: string}},"
            " or choose others with `columns`"
        ) from error
    for at in objects:
        frame.isetitem(at, frame.iloc[:, at].to_numpy(dtype=object))
    for at, dtype in nullable.items():
        frame.isetitem(at, dtype.__from_arrow__(table.column(at)))
    return frame


def _exact(field: Any) -> bytes | None:
    """The nullable type of integers that lose digits as float64."""
    if not (field.nullable and BIG in (field.metadata or {}) and pa.types.is_integer(field.type)):
        return None
    return f"{'Int' if pa.types.is_signed_integer(field.type) else 'UInt'}{field.type.bit_width}".encode()


def _as_float(name: str, column: Any) -> Any:
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise LoadError(
            f"column {name!r} has integers that float64 cannot hold, and rows without a value: {error};"
            f" declare it: column_types: {{{name}: Int64}}"
        ) from error


def check_types(table: Any, schema: Any) -> None:
    """Raises LoadError for a column whose type has nothing in common with the input's, unless that is declared.

    A cast would make 7 of "007", and true of 5.
    """
    for field in schema:
        column = table.column(field.name)
        here = plain_type(column.type)
        integers = pa.types.is_integer(here) and pa.types.is_integer(field.type)  # cast value by value
        if FOUND in (field.metadata or {}) or column.null_count == len(column) or integers:
            continue
        if wider(here, field.type) is None:
            raise LoadError(
                f"column {field.name!r} is {column.type} here, and {field.type} in the input, which have nothing in"
                f" common; declare a type that takes both: column_types: {{{field.name}: string}}"
            )


def settle(table: Any, schema: Any) -> Any:
    """The table with the columns of `schema`, in its types. Raises LoadError, naming column, types and the mend.

    Nulls that the plan did not know of are left to `to_pandas`.
    """
    if not len(schema):
        return table.select([])  # which has as many rows
    arrays = []
    for field in schema:
        column = table.column(field.name)
        try:
            arrays.append(conform(column, field.type, safe=True))
        except pa.ArrowException as error:
            raise LoadError(
                f"column {field.name!r} is {column.type} here, and {field.type} in the input: {error};"
                f" declare a type that takes both: column_types: {{{field.name}: string}}"
            ) from error
    return pa.Table.from_arrays(arrays, schema=pa.schema([field.with_nullable(True) for field in schema]))


def _nullable(name: str) -> Any:
    import pandas as pd

    return getattr(pd, f"{name[0].upper()}{name[1:]}Dtype")()


def decode_dictionaries(table: Any) -> Any:
    """The table with dictionaries replaced by their values: categories would differ between slices."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            kind = plain_type(field.type)
            chunks = [
                pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(kind)).dictionary_decode()
                for chunk in table.column(at).chunks
            ]
            table = table.set_column(at, field.name, pa.chunked_array(chunks, kind))
    return table


def decoded_schema(schema: Any) -> Any:
    """The schema with the types in which columns are given to the script."""
    return pa.schema([field.with_type(plain_type(field.type)) for field in schema.remove_metadata()])


def dump_schema(schema: Any) -> bytes:
    return cast(bytes, schema.serialize().to_pybytes())


def load_schema(data: bytes) -> Any:
    return pa.ipc.read_schema(pa.py_buffer(data))
