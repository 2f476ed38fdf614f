"""DataFrames and arrays as Arrow tables: the common ground of CSV, JSON lines and Parquet output.

    DataFrame, Series, array --table_of--> Columns(names or none, Arrow arrays)

Only values that are no plain list get here, so pyarrow is imported at the top.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy
import pyarrow as pa

from mpibatch.output.base import WrongReturn
from mpibatch.output.returned import is_table, is_table_or_array, wrong


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


def columns_of(returned: Any, mixed: bool) -> Columns:
    """The columns of a DataFrame or array; NaN and NaT become null.

    mixed: a column of values of several types is turned into text; otherwise it raises WrongReturn
    """
    if is_table(returned):
        if not hasattr(returned, "iloc"):
            table = pa.table(returned)
            return Columns(list(table.column_names), list(table.columns), True, table.num_rows)
        names = [str(name) for name in returned.columns]
        arrays = [_array(returned.iloc[:, at], name, mixed) for at, name in enumerate(names)]
        return Columns(names, arrays, True, len(returned))
    if not is_table_or_array(returned):
        raise wrong(returned)
    if hasattr(returned, "iloc"):  # a pandas Series, whose types NumPy does not have
        named = isinstance(returned.name, str)
        name = returned.name if named else "value"
        return Columns([name], [_array(returned, name, mixed)], named, len(returned))
    array = numpy.asarray(returned)
    if array.ndim == 0:
        raise wrong(returned)
    return _array_columns(array, mixed)


def _array_columns(array: Any, mixed: bool) -> Columns:
    if array.dtype.names:
        names = list(array.dtype.names)
        return Columns(names, [_array(array[name], name, mixed) for name in names], True, len(array))
    if array.ndim == 1:
        return Columns(["value"], [_array(array, "value", mixed)], False, len(array))
    names = [str(at) for at in range(array.shape[1])]
    return Columns(
        names, [_array(array[:, at], name, mixed) for at, name in enumerate(names)], False, len(array)
    )


def _array(values: Any, name: str, mixed: bool) -> Any:
    if getattr(values, "ndim", 1) > 1:
        return pa.array(values.tolist())
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        if mixed:
            return pa.array([None if value is None else str(value) for value in values], pa.string())
        raise WrongReturn(f"column {name!r} does not have one type: {error}") from error


def as_json(value: Any) -> str:
    """A nested value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)
