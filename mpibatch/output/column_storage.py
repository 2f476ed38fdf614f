"""Columns as a Parquet or Arrow file can hold them: which it takes, and what it has in place of the others.

executor:  array --storable--> array, or InvalidReturn
rank 0:    field, table --final, as_final--> what is in the file
"""

from typing import Any

import pyarrow as pa

from mpibatch.arrow import is_list, is_text
from mpibatch.output.base import InvalidReturn

CATEGORY = b"mpibatch.category"
"""In a field's metadata: its values are a category in the file."""


def storable(name: str, array: Any) -> Any:
    """The array as Parquet can hold it. Raises InvalidReturn, naming column and type, where it cannot."""
    kind = array.type
    try:
        if kind == pa.timestamp("s", getattr(kind, "tz", None)):
            return array.cast(pa.timestamp("ms", kind.tz))
        if pa.types.is_dictionary(kind) or _is_storable(kind):
            return array
        if pa.types.is_float16(kind):
            return array.cast(pa.float32())
    except pa.ArrowException as error:
        raise InvalidReturn(f"column {name!r} ({kind}) does not fit a Parquet file: {error}") from error
    raise InvalidReturn(f"column {name!r} is of type {kind}, which Parquet does not have; return text instead")


def _is_storable(kind: Any) -> bool:
    types = pa.types
    if types.is_struct(kind):
        return all(_is_storable(field.type) for field in kind)
    if is_list(kind):
        return _is_storable(kind.value_type)
    if types.is_map(kind):
        return _is_storable(kind.key_type) and _is_storable(kind.item_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _is_storable(kind.storage_type)
    if types.is_timestamp(kind) and kind.unit == "s":
        return False
    return bool(types.is_primitive(kind) or types.is_null(kind) or types.is_decimal(kind) or _is_bytes(kind)) and not (
        types.is_interval(kind) or types.is_float16(kind)
    )


def _is_bytes(kind: Any) -> bool:
    types = pa.types
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def final(field: Any, has_categories: bool) -> Any:
    """The field as the file has it."""
    metadata = field.metadata or {}
    kind = _with_keys(field.type)
    if CATEGORY in metadata and has_categories and is_text(kind):  # others do not come back from a Parquet file
        kind = pa.dictionary(pa.int32(), kind)
    return pa.field(field.name, kind, metadata=extension(metadata) or None)


def _with_keys(kind: Any) -> Any:
    """The type with text for structs that have no field, which Parquet does not know."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_with_keys(field.type)) for field in kind]) if len(kind) else pa.string()
    if is_list(kind) and _with_keys(kind.value_type) != kind.value_type:
        return pa.large_list(_with_keys(kind.value_type))
    return kind


def as_final(table: Any, final: Any) -> Any:
    arrays = []
    for column, field in zip(table.columns, final, strict=True):
        if is_category(field.type):
            arrays.append(column.dictionary_encode())
        elif column.type != field.type and pa.types.is_nested(column.type):
            arrays.append(pa.array([_keyless(value, column.type) for value in column.to_pylist()], field.type))
        else:
            arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=final)


def _keyless(value: Any, kind: Any) -> Any:
    """A value with "{}" for dicts of a type without keys."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {field.name: _keyless(value[field.name], field.type) for field in kind} if len(kind) else "{}"
    return [_keyless(entry, kind.value_type) for entry in value] if is_list(kind) else value


def extension(metadata: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """What a field says of an extension type that this process does not know."""
    return {key: value for key, value in metadata.items() if key.startswith(b"ARROW:extension")}


def is_category(kind: Any) -> bool:
    return bool(pa.types.is_dictionary(kind))
