"""DataFrames as `to_csv` writes them without a loss: no float for an integer, no array cut short with dots.

table of pyarrow or polars --from_arrow--> DataFrame --in_full--> DataFrame
"""

from collections.abc import Callable
from typing import Any

_WHOLE = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")  # pandas' types that have nulls


def from_arrow(table: Any) -> Any:
    """A pyarrow Table as a DataFrame; integers beside nulls stay integers."""
    import pandas
    import pyarrow

    nullable = {pyarrow.type_for_alias(name.lower()): pandas.api.types.pandas_dtype(name) for name in _WHOLE}
    return table.to_pandas(types_mapper=nullable.get, integer_object_nulls=True)


def in_full(frame: Any, text: Callable[[Any], str]) -> Any:
    """The frame with `text` of the arrays in it, of which `to_csv` would write the beginning and the end."""
    for at, dtype in enumerate(frame.dtypes):
        if dtype.kind == "O" and any(map(_is_array, column := frame.iloc[:, at])):
            cells = [text(value) if _is_array(value) else value for value in column]
            frame = frame.copy(deep=False)
            frame.isetitem(at, cells)
    return frame


def _is_array(value: Any) -> bool:
    return bool(getattr(value, "ndim", 0)) and hasattr(value, "tolist")
