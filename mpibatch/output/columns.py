"""DataFrames and arrays as Arrow tables: the common ground of CSV, JSON lines and Parquet output.

    DataFrame, Series, array --columns_of--> Columns(names or none, Arrow arrays)

Types come out plain: what libraries hold in ways of their own (polars' strings and categories, bytes in the other
order, masks, sparse columns, units of time that Arrow lacks) is as Arrow usually has it.

Only values that are no plain list get here, so pyarrow is imported at the top.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
import pyarrow as pa

from mpibatch.arrow import plain_type
from mpibatch.output.base import InvalidReturn
from mpibatch.output.return_values import (
    NO_COLUMNS,
    invalid_return,
    is_arrow_array,
    is_missing,
    is_table,
    is_table_or_array,
)

_CANNOT = (pa.ArrowException, OverflowError, TypeError, ValueError)
"""What `pa.array` raises for values that it has no type for."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A return value, column by column.

    named: the names are the script's own; else they are positions ("0", "1", ...), or "value" for a single
    column
    """

    names: list[str]
    arrays: list[Any]
    named: bool
    rows: int


@dataclass(frozen=True, slots=True)
class ObjectColumn:
    """A column that is no Arrow array, with the one method that JSON needs of it."""

    values: list[Any]

    def __len__(self) -> int:
        return len(self.values)

    def to_pylist(self) -> list[Any]:
        return self.values


MixedColumnPolicy = Callable[[str, Any, Exception], Any]
"""What becomes of a column (name, values) that Arrow has no single type for, and why."""


def as_text(name: str, values: Any, error: Exception) -> Any:
    return pa.array([None if is_missing(value) else utf8(str(value)) for value in values], pa.string())


def as_objects(name: str, values: Any, error: Exception) -> Any:
    return ObjectColumn(list(values))


def refuse(name: str, values: Any, error: Exception) -> Any:
    raise InvalidReturn(
        f"column {name!r} does not have one type: {error}. Give all its values one type in run(), such as str"
    ) from error


def columns_of(returned: Any, mixed: MixedColumnPolicy, extensions: bool = False) -> Columns:
    """The columns of a DataFrame or array; NaN and NaT become null. Raises InvalidReturn.

    extensions: Arrow's extension types (uuid, pandas' periods and intervals) stay, for formats that hold them
    """
    columns = _columns(returned, mixed)
    if columns.rows and not columns.names:
        raise InvalidReturn(NO_COLUMNS)
    if extensions:
        return columns
    arrays = [
        _without_extension(array, returned, at, name, mixed)
        for at, (name, array) in enumerate(zip(columns.names, columns.arrays, strict=True))
    ]
    return Columns(columns.names, arrays, columns.named, columns.rows)


def _without_extension(array: Any, returned: Any, at: int, name: str, mixed: MixedColumnPolicy) -> Any:
    if isinstance(array, ObjectColumn) or not isinstance(array.type, pa.BaseExtensionType):
        return array
    values = returned.iloc[:, at] if getattr(returned, "ndim", 0) == 2 and hasattr(returned, "iloc") else returned
    return mixed(name, values if hasattr(returned, "iloc") else array.to_pylist(), TypeError(str(array.type)))


def _columns(returned: Any, mixed: MixedColumnPolicy) -> Columns:
    if is_table(returned):
        if not hasattr(returned, "iloc"):
            table = _table(returned)
            arrays = [
                plain(column, name, mixed) for name, column in zip(table.column_names, table.columns, strict=True)
            ]
            return Columns(list(table.column_names), arrays, True, table.num_rows)
        names = [utf8(str(name)) for name in returned.columns]
        arrays = [to_arrow(returned.iloc[:, at], name, mixed) for at, name in enumerate(names)]
        return Columns(names, arrays, True, len(returned))
    if not is_table_or_array(returned):
        raise invalid_return(returned)
    if hasattr(returned, "iloc"):  # a pandas Series, whose types NumPy does not have
        named = isinstance(returned.name, str)
        name = utf8(returned.name) if named else "value"
        return Columns([name], [to_arrow(returned, name, mixed)], named, len(returned))
    if is_arrow_array(returned):  # as an array of NumPy integers beside nulls would be floats
        array = pa.chunked_array(returned) if hasattr(returned, "__arrow_c_stream__") else pa.array(returned)
        return Columns(["value"], [plain(array, "value", mixed)], False, len(returned))
    array = numpy.asanyarray(returned)
    if array.ndim == 0:
        raise invalid_return(returned)
    return _array_columns(array, mixed)


def _table(returned: Any) -> Any:
    try:
        return pa.table(returned)
    except pa.ArrowException as error:
        kinds = ", ".join(f"{name}: {kind}" for name, kind in zip(returned.columns, returned.dtypes, strict=False))
        raise InvalidReturn(f"Arrow does not have a type of these columns, {kinds}: {error}; cast it first") from error


def _array_columns(array: Any, mixed: MixedColumnPolicy) -> Columns:
    if array.dtype.names:
        fields = {utf8(name): array[name] for name in array.dtype.names}
        arrays = [to_arrow(values, name, mixed) for name, values in fields.items()]
        return Columns(list(fields), arrays, True, len(array))
    if array.ndim == 1:
        return Columns(["value"], [to_arrow(array, "value", mixed)], False, len(array))
    names = [str(at) for at in range(array.shape[1])]
    arrays = [to_arrow(array[:, at], name, mixed) for at, name in enumerate(names)]
    return Columns(names, arrays, False, len(array))


def to_arrow(values: Any, name: str, mixed: MixedColumnPolicy) -> Any:
    """A list, Series or NumPy array as an Arrow array of a plain type."""
    if getattr(values, "ndim", 1) > 1:
        values = values.tolist()
    try:
        array = _array(_native(values))
    except _CANNOT:
        if hasattr(values, "cat"):  # categories that Arrow lacks: those of periods, before pyarrow 15
            return to_arrow(values.map(str, na_action="ignore").astype(object), name, mixed)
        try:
            array = _inferred([_simple(value) for value in values])
        except _CANNOT as error:
            return mixed(name, values, error)
    return plain(array, name, mixed)


def _inferred(values: list[Any]) -> Any:
    try:
        return pa.array(values, from_pandas=True)
    except OverflowError:  # Python's integers, which Arrow takes for int64
        return pa.array(values, pa.uint64(), from_pandas=True)


def _array(values: Any) -> Any:
    if isinstance(values, numpy.ma.MaskedArray):
        return pa.array(values.data, mask=numpy.ma.getmaskarray(values), from_pandas=True)
    return pa.array(values, from_pandas=True)


def _native(values: Any) -> Any:
    """The same values in memory as Arrow takes them."""
    dtype = getattr(values, "dtype", None)
    if hasattr(values, "iloc"):
        if hasattr(dtype, "fill_value") and hasattr(values, "sparse"):
            values = values.sparse.to_dense()
        return _native(values.to_numpy()) if isinstance(dtype, numpy.dtype) and not dtype.isnative else values
    if not isinstance(dtype, numpy.dtype):
        return values
    if dtype == numpy.longdouble:
        return values.astype(numpy.float64)
    if dtype.kind in "mM" and numpy.datetime_data(dtype)[0] in "YMWhm" + "D" * (dtype.kind == "m"):
        return values.astype(f"{dtype.kind}8[s]")  # raises TypeError for months that are no seconds
    return values if dtype.isnative else values.astype(dtype.newbyteorder("="))


def _simple(value: Any) -> Any:
    """An element that Arrow does not take: surrogates, as in file names that are not UTF-8, and 0-d arrays."""
    if isinstance(value, str):
        return utf8(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "tolist") and not isinstance(value, numpy.generic):
        return value.tolist()
    return value


def utf8(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def plain(array: Any, name: str, mixed: MixedColumnPolicy) -> Any:
    """An Arrow array or chunked array in a type that every writer has; intervals of months and days are text."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        values = plain(array.dictionary, name, mixed)
        if isinstance(values.type, pa.BaseExtensionType):  # pandas' cut: no file has categories of intervals
            values = pa.array([str(value) for value in values.to_pandas()], pa.string())
        if array.dictionary.type == values.type:
            return array
        return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), values)
    if pa.types.is_interval(array.type):
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    kind = plain_type(array.type)
    try:
        return array if kind == array.type else array.cast(kind)
    except pa.ArrowException:
        return _rebuilt(array.to_pylist(), kind, name, mixed)


def _rebuilt(values: list[Any], kind: Any, name: str, mixed: MixedColumnPolicy) -> Any:
    try:
        return pa.array(values, kind)
    except _CANNOT as error:
        return mixed(name, values, error)


def as_json(value: Any) -> str:
    """A nested value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)
