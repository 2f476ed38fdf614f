"""JSON lines: one JSON value a row, UTF-8, "\\n" at the end of each.

| returned                         | a line is |
| -------------------------------- | --------- |
| DataFrame, structured array      | an object, keys in the order of the columns |
| list of dicts or of named tuples | an object |
| list of tuples, lists            | an array |
| list of scalars                  | the value: a string, number, true, false or null |
| 1-D array, Series without a name | the value |
| array of 2-D and up              | an array |

NaN, infinities and missing values are null, as JSON has no others; times are ISO 8601 strings and time spans as pandas
writes them ("1 days 02:00:00"); bytes are decoded as UTF-8; what JSON does not know at all is written as `str()` of it,
keys too. With `schema` objects have the keys named there, in that order, null where a row lacks one. Lines need not be
alike, so any row fits the file.
"""

import json
import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from mpibatch.config.schema import RowFormat
from mpibatch.output.base import Encoded, InvalidReturn
from mpibatch.output.lines import LineEncoder
from mpibatch.output.pieces import joined
from mpibatch.output.return_values import as_python, invalid_return, is_missing, is_table, is_table_or_array
from mpibatch.output.scalars import plain, span_text


class JsonlEncoder(LineEncoder):
    """The executor's half; rank 0's is `LineFormat`."""

    def __init__(self, fmt: RowFormat) -> None:
        self._declared = list(fmt.schema) if fmt.schema else None

    def encode(self, returned: Any) -> Encoded:
        rows = _list_rows(returned) if isinstance(returned, list | tuple) else _column_rows(returned)
        return Encoded(*joined(_line(row if self._declared is None else self._chosen(row)) for row in rows))

    def _chosen(self, row: Any) -> Any:
        if not isinstance(row, dict) or self._declared is None:
            return row
        if not any(name in row for name in self._declared):
            raise InvalidReturn(
                f"columns of append_row_format.schema are missing: {self._declared}; there are {list(row)}"
            )
        return {name: row.get(name) for name in self._declared}


def _list_rows(returned: Any) -> Iterable[Any]:
    return (row._asdict() if hasattr(row, "_asdict") else row for row in returned)


def _column_rows(returned: Any) -> Iterable[Any]:
    if not is_table_or_array(returned):
        raise invalid_return(returned)  # before pyarrow is imported in vain

    from mpibatch.output.columns import as_objects, columns_of

    columns = columns_of(returned, as_objects)
    values = [array.to_pylist() for array in columns.arrays]
    if columns.named:
        if len(set(columns.names)) < len(columns.names):
            raise InvalidReturn(f"keys of a JSON object need different names, but the columns are {columns.names}")
        return [dict(zip(columns.names, row, strict=True)) for row in zip(*values, strict=True)]
    if columns.names == ["value"]:
        return list(values[0])
    return [list(row) for row in zip(*values, strict=True)]


def _line(row: Any) -> str:
    try:
        try:
            return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_known) + "\n"
        except (TypeError, ValueError):  # NaN somewhere, or a key that is no text
            return json.dumps(_finite(as_python(row)), ensure_ascii=False, allow_nan=False, default=_known) + "\n"
    except (TypeError, ValueError) as error:
        raise InvalidReturn(f"a row cannot be written as JSON: {error}") from error


def _known(value: Any) -> Any:
    """What stands for a value that JSON does not know."""
    value = plain(value)
    if is_missing(value):
        return None
    if isinstance(value, timedelta) or getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        return _times(value)
    if is_table(value):
        raise InvalidReturn("run() returned a DataFrame within a list; return one DataFrame: pd.concat(frames)")
    value = value.tolist() if hasattr(value, "tolist") else value  # NumPy's arrays and scalars
    if isinstance(value, int | float | str | list):
        return _finite(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _times(value: Any) -> Any:
    """Time spans, and NumPy's dates, whose `tolist` gives numbers for nanoseconds."""
    import numpy
    import pandas

    if isinstance(value, timedelta):
        return span_text(value)
    if value.ndim:
        return [_times(entry) for entry in value]
    if numpy.isnat(value):
        return None
    return span_text(value) if value.dtype.kind == "m" else pandas.Timestamp(value).isoformat()


def _finite(value: Any) -> Any:
    """The value with null for what is no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        named = {_key(key): _finite(entry) for key, entry in value.items()}
        if len(named) < len(value):
            raise InvalidReturn(f"keys of a JSON object need different names, but they are {list(value)}")
        return named
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def _key(key: Any) -> Any:
    return key if isinstance(key, str | int | float | bool) or key is None else str(key)
