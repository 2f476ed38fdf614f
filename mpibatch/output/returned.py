"""What `run()` may return, and how many rows it has: shared by every output format.

A row is one element of a list or tuple, one entry along the first axis of an array (NumPy, a pandas Series,
or anything with `__array__`, such as a TensorFlow or CPU torch tensor), or one row of a DataFrame (pandas, or
anything that speaks the Arrow C stream interface, such as polars or a pyarrow Table).
"""

from dataclasses import dataclass
from typing import Any

from mpibatch.output.base import WrongReturn


def count(returned: Any) -> int:
    """Rows of a return value. Raises WrongReturn for what has none."""
    if isinstance(returned, list | tuple):
        return len(returned)
    if is_table_or_array(returned):
        try:
            return len(returned)
        except TypeError:  # an array without dimensions
            raise wrong(returned) from None
    raise wrong(returned)


def is_table(returned: Any) -> bool:
    return hasattr(returned, "columns") and (hasattr(returned, "iloc") or hasattr(returned, "__arrow_c_stream__"))


def is_table_or_array(returned: Any) -> bool:
    return not isinstance(returned, type) and (hasattr(returned, "__array__") or is_table(returned))


def wrong(returned: Any) -> WrongReturn:
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
    return WrongReturn(f"run() must return a list, tuple, array or DataFrame, not {kind}{hint}")


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

    Raises WrongReturn for elements of several kinds, and for rows of several widths.
    """
    kinds = {_kind(row) for row in returned}
    if len(kinds) > 1:
        raise WrongReturn(f"the returned list mixes {' and '.join(sorted(kinds))}; give every row the same form")
    kind = kinds.pop()
    if kind == "dicts":
        keys = {key: None for row in returned for key in row}
        return Rows([str(key) for key in keys], [[row.get(key) for key in keys] for row in returned])
    if kind == "scalars":
        return Rows(None, [[row] for row in returned], scalars=True)
    rows = [row.tolist() if hasattr(row, "tolist") else row for row in returned]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise WrongReturn(f"the returned rows have different lengths: {sorted(widths)}")
    names = getattr(returned[0], "_fields", None)
    return Rows(list(names) if names else None, rows)


def _kind(row: Any) -> str:
    if isinstance(row, dict):
        return "dicts"
    if isinstance(row, list | tuple) or (hasattr(row, "tolist") and getattr(row, "ndim", 0) == 1):
        return "sequences"
    return "scalars"
