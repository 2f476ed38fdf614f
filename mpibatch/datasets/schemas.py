"""One schema for all mini-batches of a table input, and from Arrow to pandas without types that change.

    plan: samples --merge--> Arrow schema --(column_types)--> settled --freeze--> bytes --thaw--> executors

A field is nullable if the samples (or a Parquet footer) hold a null in that column. What pandas would turn
into another type as soon as a slice happens to hold a null is settled for all slices:

| column           | no null in the samples | a null in the samples |
| ---------------- | ---------------------- | --------------------- |
| integers         | the integer type       | float64, NaN for null |
| bool             | bool                   | object, None for null |
| all others       | the type pandas gives  | the same              |

A null that turns up later in a column settled as integers or bool is a LoadError that says how to declare the
type. The nullable pandas types (`Int64`, `boolean`, ...) can be declared in `column_types` and take nulls as
they are. pandas itself is imported where a DataFrame is made, and not by rank 0, which only plans.
"""

from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from mpibatch.columns import parse_type
from mpibatch.config.schema import Input
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_NULLABLE = (
    "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "boolean",
)  # fmt: skip
_PANDAS = b"pandas"  # metadata key of a field: the nullable type asked for


def merge(first: Any, second: Any, text: bool) -> Any:
    """The schema that takes what both take; columns of both, those of `first` in front.

    text: a column of several types is a column of strings (CSV); otherwise the first type stays (JSON)
    """
    fields = {field.name: field for field in first}
    for field in second:
        if field.name in fields:
            seen = fields[field.name]
            type_ = _merge_types(seen.type, field.type, text)
            fields[field.name] = pa.field(field.name, type_, seen.nullable or field.nullable)
        else:
            fields[field.name] = field
    return pa.schema(list(fields.values()))


def _merge_types(a: Any, b: Any, text: bool) -> Any:
    for one, other in ((a, b), (b, a)):
        if _widens(one, other):
            return other
    if pa.types.is_list(a) and pa.types.is_list(b):
        return pa.list_(_merge_types(a.value_type, b.value_type, text))
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        return pa.struct(list(merge(pa.schema(list(a)), pa.schema(list(b)), text)))
    return pa.string() if text else a


def _widens(one: Any, other: Any) -> bool:
    """Whether values of type `one` can be read as `other`."""
    types = pa.types
    return bool(
        one == other
        or types.is_null(one)
        or (types.is_integer(one) and types.is_floating(other))
        or (types.is_date(one) and types.is_timestamp(other))
        or (types.is_timestamp(one) and types.is_string(other))
        or (types.is_timestamp(one) and types.is_timestamp(other) and one.tz == other.tz and other.unit == "ns")
    )


def observed(table: Any) -> Any:
    """The schema of a sample; nullable where it holds a null."""
    columns = zip(table.schema, table.columns, strict=True)
    return pa.schema([field.with_nullable(column.null_count > 0) for field, column in columns])


def settle(spec: Input, schema: Any) -> Any:
    """The schema of the samples after `columns` and `column_types`.

    Raises InputError for columns that there are not, and for types that there are not.
    """
    names = list(schema.names)
    for setting, wanted in (("columns", list(spec.columns)), ("column_types", list(spec.column_types))):
        if missing := [name for name in wanted if name not in names]:
            raise InputError(f"input {spec.name!r}: {setting} names {missing}, but the columns are {names}")
    fields = []
    for name in spec.columns or names:
        field = schema.field(name)
        if name in spec.column_types:
            field = _declared(spec, name)
        fields.append(field)
    return pa.schema(fields)


def _declared(spec: Input, name: str) -> Any:
    asked = spec.column_types[name]
    if asked in _NULLABLE:
        kind = parse_type("bool" if asked == "boolean" else asked)
        return pa.field(name, kind, metadata={_PANDAS: asked.encode()})
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

    table = plain(table)
    if not table.num_columns:
        return pd.DataFrame(index=pd.RangeIndex(table.num_rows))
    objects, nullable = [], {}
    for at, field in enumerate(schema):
        whole = pa.types.is_integer(field.type)
        asked = (field.metadata or {}).get(_PANDAS)
        if asked:
            nullable[at] = _nullable(asked.decode())
        elif not field.nullable and table.column(at).null_count and (whole or pa.types.is_boolean(field.type)):
            advice = "float64 or Int64" if whole else "boolean or string"
            raise LoadError(
                f"column {field.name!r} has no value in some row, but was settled as {field.type};"
                f" declare it: column_types: {{{field.name}: {advice}}}"
            )
        elif field.nullable and whole:
            table = table.set_column(at, field.name, table.column(at).cast(pa.float64(), safe=False))
        elif field.nullable and pa.types.is_boolean(field.type):
            objects.append(at)
    frame = cast("pd.DataFrame", table.to_pandas(date_as_object=False, ignore_metadata=True))
    for at in objects:
        frame.isetitem(at, frame.iloc[:, at].to_numpy(dtype=object))
    for at, dtype in nullable.items():
        frame.isetitem(at, dtype.__from_arrow__(table.column(at)))
    return frame


def _nullable(name: str) -> Any:
    import pandas as pd

    return getattr(pd, f"{name[0].upper()}{name[1:]}Dtype")()


def plain(table: Any) -> Any:
    """The table with dictionaries replaced by their values: categories would differ between slices."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(field.type.value_type))
    return table


def plain_schema(schema: Any) -> Any:
    return pa.schema(
        [
            field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
            for field in schema.remove_metadata()
        ]
    )


def pack(schema: Any) -> bytes:
    return cast(bytes, schema.serialize().to_pybytes())


def unpack(data: bytes) -> Any:
    return pa.ipc.read_schema(pa.py_buffer(data))
