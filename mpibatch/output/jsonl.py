"""JSON lines: one JSON value a row, UTF-8, "\\n" at the end of each.

| returned                         | a line is |
| -------------------------------- | --------- |
| DataFrame, structured array      | an object, keys in the order of the columns |
| list of dicts or of named tuples | an object |
| list of tuples, lists            | an array |
| list of scalars                  | the value: a string, number, true, false or null |
| 1-D array, Series without a name | the value |
| array of 2-D and up              | an array |

NaN, infinities and missing values are null, as JSON has no others; times are ISO 8601 strings; bytes are
decoded as UTF-8; what JSON does not know at all is written as `str()` of it. With `schema` objects have the
keys named there, in that order. Lines need not be alike, so any row fits the file.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

from mpibatch.config.schema import RowFormat
from mpibatch.output.base import Encoded, WrongReturn
from mpibatch.output.returned import is_table_or_array, wrong


class JsonlEncoder:
    """The executor's half."""

    def __init__(self, fmt: RowFormat) -> None:
        self._declared = list(fmt.schema) if fmt.schema else None

    def encode(self, returned: Any) -> Encoded:
        rows = _list_rows(returned) if isinstance(returned, list | tuple) else _column_rows(returned)
        lines = [_line(row if self._declared is None else self._chosen(row)) for row in rows]
        return Encoded(len(lines), "".join(lines).encode("utf-8", "backslashreplace"))

    def join(self, parts: list[Encoded]) -> Encoded:
        return Encoded(sum(part.rows for part in parts), b"".join(part.data for part in parts))

    def _chosen(self, row: Any) -> Any:
        if not isinstance(row, dict) or self._declared is None:
            return row
        if missing := [name for name in self._declared if name not in row]:
            raise WrongReturn(f"columns of append_row_format.schema are missing: {missing}; there are {list(row)}")
        return {name: row[name] for name in self._declared}


class JsonlStream:
    """Rank 0's half: lines carry their own names, so all fit."""

    def begin(self, schema: bytes) -> bytes:
        return b""

    def settle(self, declared: bytes | None, schema: bytes) -> bytes | None:
        return declared or schema

    def explain(self, declared: bytes, schema: bytes) -> str:
        return "every row fits a JSON lines file"


def _list_rows(returned: Any) -> Iterable[Any]:
    return (row._asdict() if hasattr(row, "_asdict") else row for row in returned)


def _column_rows(returned: Any) -> Iterable[Any]:
    if not is_table_or_array(returned):
        raise wrong(returned)  # before pyarrow is imported in vain

    from mpibatch.output.tables import as_objects, columns_of

    columns = columns_of(returned, as_objects)
    values = [array.to_pylist() for array in columns.arrays]
    if columns.named:
        return [dict(zip(columns.names, row, strict=True)) for row in zip(*values, strict=True)]
    if columns.names == ["value"]:
        return list(values[0])
    return [list(row) for row in zip(*values, strict=True)]


def _line(row: Any) -> str:
    try:
        try:
            return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_known) + "\n"
        except ValueError:  # NaN somewhere
            return json.dumps(_finite(row), ensure_ascii=False, allow_nan=False, default=_known) + "\n"
    except (TypeError, ValueError) as error:
        raise WrongReturn(f"a row cannot be written as JSON: {error}") from error


def _known(value: Any) -> Any:
    """What stands for a value that JSON does not know."""
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return _finite(value.tolist())
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # noqa: PLR0124  NaT differs from itself
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return None if str(value) == "<NA>" else str(value)


def _finite(value: Any) -> Any:
    """The value with null for what is no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
