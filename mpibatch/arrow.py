"""Arrow in small pieces: names of column types, the one table of which type holds two others, and columns out of
NumPy arrays and bytes without pandas.

Type names are those that users write, in `column_types` of an input and in `schema` of an output: Arrow's own (int8 ...
uint64, float32, double, string, bool, date32, timestamp[us], timestamp[ns, UTC], decimal(12, 2), binary, ...), NumPy's
and Python's usual ones (float64, int, float, str, datetime64[ns], timedelta64[s]), and list<...> of any of them.

`wider` and `conform` settle one type for many mini-batches or files, of an input and of an output alike: whatever
`wider` finds, `conform` makes.

`pa.array` and `Array.to_numpy` import pandas where it is installed, which costs a run some 0.3 s and 40 MB on rank 0.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_NAMES: dict[str, Any] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "float64": pa.float64(),
    "str": pa.string(),
    "object": pa.string(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "timestamp": pa.timestamp("us"),
    "category": pa.dictionary(pa.int32(), pa.string()),
}
_DECIMAL = re.compile(r"(decimal|decimal128|decimal256)\(\s*(\d{1,2})\s*(?:,\s*(-?\d{1,2})\s*)?\)")
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns),\s*(?:tz=)?([\w+:/-]+)\]", re.IGNORECASE)
_UNITS = ("s", "ms", "us", "ns")
_COMMON = ["int64", "float64", "string", "bool", "date32", "timestamp[ms]", "category", "list<float64>"]


def parse_type(name: str) -> Any:
    """The Arrow type of a name. Raises ValueError, with the nearest valid name, for one that there is not."""
    text = name.strip()
    if text.startswith("list<") and text.endswith(">"):
        return pa.list_(parse_type(text[5:-1]))
    if text.lower() in _NAMES:
        return _NAMES[text.lower()]
    if match := _DECIMAL.fullmatch(text.lower()):
        digits, scale = int(match[2]), int(match[3] or 0)
        if 0 < digits <= (38 if match[1] == "decimal128" else 76):
            return _decimal(digits, scale) if match[1] != "decimal256" else pa.decimal256(digits, scale)
    text = text.replace("datetime64[", "timestamp[").replace("timedelta64[", "duration[")
    if match := _ZONED.fullmatch(text):
        return pa.timestamp(match[1].lower(), match[2])
    try:
        return pa.type_for_alias(text.lower())
    except ValueError:
        near = difflib.get_close_matches(text.lower(), [*_NAMES, *_COMMON], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no column type {name!r}{hint}; there are {_COMMON}, ...") from None


def wider(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that takes the values of both, None where there is none.

    null gives way to anything; integers widen, to decimals and floats too; a unit of time gives way to a finer one and
    a date to a timestamp; lists widen by their elements, structs by their fields, of which both may have more.
    """
    if one == other:
        return one
    for rule in (_wider_null, _wider_number, _wider_bytes, _wider_time, _wider_nested):
        for first, second in ((one, other), (other, one)):
            if (found := rule(first, second)) is not None:
                return found
    return None


# Rules for two types that differ, given in one order only.


def _wider_null(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if pa.types.is_dictionary(one):
        return wider(one.value_type, other)
    return other if pa.types.is_null(one) else None


def _wider_number(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_integer(one) and types.is_integer(other):
        return _wider_integer(one, other)
    if types.is_floating(one) and types.is_floating(other):
        return max(one, other, key=lambda kind: int(kind.bit_width))
    exact = types.is_integer(one) or types.is_decimal(one)
    if types.is_floating(other):
        return pa.float64() if exact else None
    if types.is_decimal(other) and exact:
        scale = max(_digits(one)[1], _digits(other)[1])
        whole = max(digits - places for digits, places in (_digits(one), _digits(other)))
        return _decimal(whole + scale, scale) if whole + scale <= 76 else None
    return None


def _wider_integer(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    bits = max(one.bit_width, other.bit_width)
    unsigned = [kind.bit_width for kind in (one, other) if not pa.types.is_signed_integer(kind)]
    if len(unsigned) == 1:
        bits = max(bits, 2 * unsigned[0])
    return None if bits > 64 else pa.type_for_alias(f"{'u' if len(unsigned) == 2 else ''}int{bits}")


def _wider_bytes(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if is_text(one) and is_text(other):
        return pa.large_string()
    return pa.large_binary() if is_binary(one) and is_binary(other) else None


def _wider_time(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_date(one):
        if types.is_date(other):
            return pa.date64()
        return other if types.is_timestamp(other) and other.tz is None else None
    if types.is_timestamp(one) and types.is_timestamp(other) and (one.tz is None) == (other.tz is None):
        return pa.timestamp(_finer(one, other), one.tz if one.tz == other.tz else "UTC")
    if types.is_duration(one) and types.is_duration(other):
        return pa.duration(_finer(one, other))
    if types.is_time(one) and types.is_time(other):
        return pa.time64("ns" if _finer(one, other) == "ns" else "us")
    return None


def _wider_nested(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_struct(one) and types.is_struct(other):
        return _wider_struct(one, other)
    if not (is_list(one) and is_list(other)) or (element := wider(one.value_type, other.value_type)) is None:
        return None
    if types.is_fixed_size_list(one) and types.is_fixed_size_list(other) and one.list_size == other.list_size:
        return pa.list_(element, one.list_size)
    return pa.large_list(element)


def _digits(kind: pa.DataType) -> tuple[int, int]:
    """All digits and those behind the point of an integer or decimal type."""
    if pa.types.is_decimal(kind):
        return kind.precision, kind.scale
    return {8: 3, 16: 5, 32: 10}.get(kind.bit_width, 20 if kind == pa.uint64() else 19), 0


def _decimal(digits: int, scale: int) -> pa.DataType:
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


def _finer(one: pa.DataType, other: pa.DataType) -> str:
    return max(str(one.unit), str(other.unit), key=_UNITS.index)


def _wider_struct(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    fields = {field.name: field.type for field in one}
    for field in other:
        kind = wider(fields[field.name], field.type) if field.name in fields else field.type
        if kind is None:
            return None
        fields[field.name] = kind
    return pa.struct(list(fields.items()))


def is_list(kind: pa.DataType) -> bool:
    """Of any kind: fixed in size, large, or a view."""
    types = pa.types
    views = any(getattr(types, f"is_{name}", lambda _: False)(kind) for name in ("list_view", "large_list_view"))
    return bool(views or types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_view(kind: pa.DataType) -> bool:
    """Strings or bytes as polars has them."""
    return str(kind) in ("string_view", "binary_view")


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view"


def is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    fixed = types.is_fixed_size_binary(kind) and not types.is_decimal(kind)
    return bool(fixed or types.is_binary(kind) or types.is_large_binary(kind) or str(kind) == "binary_view")


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type in which Arrow usually has what other libraries hold in ways of their own: views, categories, runs."""
    types = pa.types
    if is_view(kind):
        kind = pa.large_string() if str(kind) == "string_view" else pa.large_binary()
    elif types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        kind = plain_type(kind.value_type)
    elif str(kind).startswith(("decimal32", "decimal64")):
        kind = pa.decimal128(kind.precision, kind.scale)
    elif types.is_struct(kind):
        kind = pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    elif types.is_fixed_size_list(kind):
        kind = pa.list_(plain_type(kind.value_type), kind.list_size)
    elif is_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        kind = make(kind.value_field.with_type(plain_type(kind.value_type)))
    return kind


def conform(values: Any, kind: pa.DataType, safe: bool = False) -> Any:
    """An array, or chunked array, in a type that `wider` found for it, or in a narrower one that takes its values.

    Integers beyond 2**53 lose digits as floats, which is what widening them means, unless it is to be `safe`: then
    every value is kept, or ArrowException is raised, as it is for what does not fit.
    """
    if isinstance(values, pa.ChunkedArray):
        return pa.chunked_array([conform(chunk, kind, safe) for chunk in values.chunks], kind)
    if values.type != kind and values.null_count == len(values):
        return pa.nulls(len(values), kind)
    values = _decoded(values)
    if values.type == kind:
        return values
    if pa.types.is_struct(kind) and pa.types.is_struct(values.type):
        return _conform_struct(values, kind, safe)
    if is_list(kind) and is_list(values.type):
        return _conform_list(values, kind, safe)
    if pa.types.is_decimal(kind) and pa.types.is_integer(values.type):
        values = values.cast(pa.decimal256(76, kind.scale))  # Arrow asks for digits that any integer may have
    found = values.cast(kind, safe=safe or not pa.types.is_floating(kind))
    if safe and not _is_exact(values, found):
        raise pa.ArrowInvalid(f"{kind} does not hold all the values exactly")
    return found


def _decoded(values: Any) -> Any:
    """Categories and runs as the values that they stand for."""
    if pa.types.is_dictionary(values.type):
        return _decoded(values.dictionary_decode())
    if pa.types.is_run_end_encoded(values.type):
        import pyarrow.compute as pc  # seldom needed, and slow to import

        return _decoded(pc.run_end_decode(values))
    return values


def _is_exact(values: Any, found: Any) -> bool:
    """Whether a cast has kept the values, of those that Arrow takes for safe: 5 as true, a time as its day, digits."""
    types = pa.types
    kind, here = found.type, values.type
    if (types.is_boolean(kind) and not is_text(here)) or (types.is_date(kind) and types.is_timestamp(here)):
        return bool(found.cast(here).equals(values))
    if types.is_floating(kind) and types.is_decimal(here):
        return bool(found.cast(pa.string()).cast(here).equals(values))
    return True


def _conform_struct(values: Any, kind: pa.DataType, safe: bool) -> Any:
    children = []
    for field in kind:
        at = values.type.get_field_index(field.name)
        children.append(conform(values.field(at), field.type, safe) if at >= 0 else pa.nulls(len(values), field.type))
    if not children:
        return values.cast(kind)
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=values.is_null())


def _conform_list(values: Any, kind: pa.DataType, safe: bool) -> Any:
    """Arrow's casts of lists of a fixed size are not used: they break lists of lists of nulls."""
    fixed = pa.types.is_fixed_size_list
    if fixed(kind) and fixed(values.type) and kind.list_size == values.type.list_size:
        elements = conform(values.values, kind.value_type, safe)
        return pa.Array.from_buffers(kind, len(values), values.buffers()[:1], -1, values.offset, [elements])
    if fixed(kind):
        return values.cast(kind)
    import pyarrow.compute as pc  # seldom needed, and slow to import

    if fixed(values.type):
        size = values.type.list_size
        lists, offsets = values, numbers((values.offset + np.arange(len(values) + 1, dtype=np.int64)) * size)
    else:
        plain = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
        lists = values if plain else values.cast(pa.list_(values.type.value_type))
        offsets = pc.add(lists.offsets, 0)  # those of a slice cannot be put together with a mask of nulls
    large = pa.types.is_large_list(kind)
    made = pa.LargeListArray if large else pa.ListArray
    elements = conform(lists.values, kind.value_type, safe)
    return made.from_arrays(
        offsets.cast(pa.int64() if large else pa.int32()), elements, type=kind, mask=lists.is_null()
    )


def numbers(values: "NDArray[Any]") -> pa.Array:
    """Fixed-width numbers, none missing."""
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(data.dtype), len(data), [None, pa.py_buffer(data)])


def texts(values: Sequence[bytes], type: pa.DataType) -> pa.Array:
    """Strings or bytes, none missing; `type` is a string or binary type, or its large kind."""
    large = type in (pa.large_binary(), pa.large_string())
    ends = np.zeros(len(values) + 1, dtype=np.int64 if large else np.int32)
    np.cumsum([len(value) for value in values], out=ends[1:])
    return pa.Array.from_buffers(type, len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


def to_numpy(column: pa.Array, dtype: type[np.generic]) -> "NDArray[Any]":
    """The numbers of a column as they lie in memory, not copied."""
    return np.frombuffer(column.buffers()[1], dtype=dtype)[column.offset : column.offset + len(column)]


def read_parquet(path: Path) -> pa.Table:
    """A whole file, by this thread alone, since one of pyarrow's that still held the file when the process ends would
    abort it ("terminate called without an active exception"); those of `pq.read_table` cannot be switched off.

    Raises OSError, pa.ArrowException.
    """
    import pyarrow.parquet as pq  # slow to import, for what many do not need

    with path.open("rb") as file:  # pyarrow opens no path that is not UTF-8
        return pq.ParquetFile(file, pre_buffer=False).read(use_threads=False)
