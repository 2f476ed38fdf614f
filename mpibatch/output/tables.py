"""DataFrames and arrays as Arrow tables: the common ground of CSV, JSON lines and Parquet output.

    DataFrame, Series, array --columns_of--> Columns(names or none, Arrow arrays)

Only values that are no plain list get here, so pyarrow is imported at the top.
"""

import json
from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class Objects:
    """A column that is no Arrow array, with the one method that JSON needs of it."""

    values: list[Any]

    def __len__(self) -> int:
        return len(self.values)

    def to_pylist(self) -> list[Any]:
        return self.values


Mixed = Callable[[str, Any, Exception], Any]
"""What becomes of a column (name, values) that Arrow has no single type for, and why."""


def as_text(name: str, values: Any, error: Exception) -> Any:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def as_objects(name: str, values: Any, error: Exception) -> Any:
    return Objects(list(values))


def refuse(name: str, values: Any, error: Exception) -> Any:
    raise WrongReturn(f"column {name!r} does not have one type: {error}") from error


def columns_of(returned: Any, mixed: Mixed) -> Columns:
    """The columns of a DataFrame or array; NaN and NaT become null. Raises WrongReturn."""
    if is_table(returned):
        if not hasattr(returned, "iloc"):
            table = pa.table(returned)
            return Columns(list(table.column_names), list(table.columns), True, table.num_rows)
        names = [str(name) for name in returned.columns]
        arrays = [one_array(returned.iloc[:, at], name, mixed) for at, name in enumerate(names)]
        return Columns(names, arrays, True, len(returned))
    if not is_table_or_array(returned):
        raise wrong(returned)
    if hasattr(returned, "iloc"):  # a pandas Series, whose types NumPy does not have
        named = isinstance(returned.name, str)
        name = returned.name if named else "value"
        return Columns([name], [one_array(returned, name, mixed)], named, len(returned))
    array = numpy.asarray(returned)
    if array.ndim == 0:
        raise wrong(returned)
    return _array_columns(array, mixed)


def _array_columns(array: Any, mixed: Mixed) -> Columns:
    if array.dtype.names:
        names = list(array.dtype.names)
        return Columns(names, [one_array(array[name], name, mixed) for name in names], True, len(array))
    if array.ndim == 1:
        return Columns(["value"], [one_array(array, "value", mixed)], False, len(array))
    names = [str(at) for at in range(array.shape[1])]
    arrays = [one_array(array[:, at], name, mixed) for at, name in enumerate(names)]
    return Columns(names, arrays, False, len(array))


def one_array(values: Any, name: str, mixed: Mixed) -> Any:
    """A list, Series or NumPy array as an Arrow array."""
    if getattr(values, "ndim", 1) > 1:
        values = values.tolist()
    try:
        return pa.array(values, from_pandas=True)
    except UnicodeEncodeError:  # surrogates, as in file names that are not UTF-8
        return pa.array([_utf8(value) for value in values], from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        return mixed(name, values, error)


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def as_json(value: Any) -> str:
    """A nested value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)
