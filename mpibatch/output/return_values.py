"""What `run()` may return, and how many rows it has: shared by every output format.

A row is one element of a list or tuple, one entry along the first axis of an array (NumPy, a pandas Series,
or anything with `__array__`, such as a TensorFlow or CPU torch tensor), or one row of a DataFrame (pandas, or
anything that speaks the Arrow C stream interface, such as polars or a pyarrow Table).
"""

import math
from dataclasses import dataclass
from typing import Any

from mpibatch.output.base import InvalidReturn
from mpibatch.output.scalars import plain

NO_COLUMNS = "the returned rows have no columns; give every row a value"


def is_missing(value: Any) -> bool:
    """None, NaN, and what pandas has for a value that is not there."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NaTType", "NAType")


def count_rows(returned: Any) -> int:
    """Rows of a return value. Raises InvalidReturn for what has none."""
    if isinstance(returned, list | tuple):
        return len(returned)
    if is_table_or_array(returned):
        try:
            return len(returned)
        except TypeError:  # an array without dimensions
            raise invalid_return(returned) from None
    raise invalid_return(returned)


def is_table(returned: Any) -> bool:
    return hasattr(returned, "columns") and (hasattr(returned, "iloc") or hasattr(returned, "__arrow_c_stream__"))


def is_arrow_array(returned: Any) -> bool:
    """A column of pyarrow or polars."""
    ours = hasattr(returned, "__arrow_c_array__") or hasattr(returned, "__arrow_c_stream__")
    return ours and not hasattr(returned, "iloc") and not is_table(returned)


def is_table_or_array(returned: Any) -> bool:
    return not isinstance(returned, type) and (hasattr(returned, "__array__") or is_table(returned))


def invalid_return(returned: Any) -> InvalidReturn:
    """The complaint about a return value, with the likely slip named."""
    kind = type(returned).__name__
    if returned is None:
        hint = "; is a return statement missing?"
    elif kind in ("generator", "map", "filter", "zip", "set", "dict_values", "dict_keys"):
        hint = "; wrap it in list(...)"
    elif isinstance(returned, str | bytes | dict):
        hint = "; for a single row return a list with one element"
    elif hasattr(returned, "__array__"):
        hint = " without dimensions; for a single row return a list with one element"
    else:
        hint = ""
    return InvalidReturn(f"run() must return a list, tuple, array or DataFrame, not {kind}{hint}")


@dataclass(frozen=True, slots=True)
class Rows:
    """A returned list, row by row.

    names:   of the columns, None where the elements have none
    rows:    of equal width
    scalars: each row is one value that was no row of its own
    """

    names: list[str] | None
    rows: list[Any]
    scalars: bool = False


def rows_of(returned: Any) -> Rows:
    """A list that is not empty as rows; names are the keys of dicts and the fields of named tuples.

    Raises InvalidReturn for elements of several kinds, and for rows of several widths.
    """
    returned = [plain(row) for row in returned]
    kinds = {_kind(row) for row in returned}
    if len(kinds) > 1:
        raise InvalidReturn(f"the returned list mixes {' and '.join(sorted(kinds))}; give every row the same form")
    kind = kinds.pop()
    if kind == "DataFrames":
        raise InvalidReturn("run() returned a list of DataFrames; return one: pd.concat(frames)")
    if kind == "dicts":
        keys = {key: None for row in returned for key in row}
        if not keys:
            raise InvalidReturn(NO_COLUMNS)
        return Rows([str(key) for key in keys], [[row.get(key) for key in keys] for row in returned])
    if kind == "scalars":
        return Rows(None, [[row] for row in returned], scalars=True)
    rows = [row.tolist() if hasattr(row, "tolist") else row for row in returned]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise InvalidReturn(f"the returned rows have different lengths: {sorted(widths)}")
    if widths == {0}:
        raise InvalidReturn(NO_COLUMNS)
    names = getattr(returned[0], "_fields", None)
    return Rows(list(names) if names else None, rows)


def _kind(row: Any) -> str:
    if isinstance(row, dict):
        return "dicts"
    if isinstance(row, list | tuple) or (hasattr(row, "tolist") and getattr(row, "ndim", 0) == 1):
        return "sequences"
    return "DataFrames" if is_table(row) else "scalars"


def as_python(value: Any) -> Any:
    """The value with NumPy's scalars as Python's, and its arrays as lists, within tuples, lists and dicts too."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(map(as_python, value))
    if kind is dict:
        return {as_python(key): as_python(entry) for key, entry in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*map(as_python, value))
    if kind.__module__ == "numpy" and hasattr(value, "ndim"):
        times = value.dtype.kind in "mM"
        return value.astype(str).tolist() if times and value.ndim else str(value) if times else value.tolist()
    return value
