"""Arrays inside what `run()` returns, of whichever framework: those without dimensions are scalars, others are NumPy's.

    [tensor(3), {"score": tensor(0.5)}] --plain--> [numpy.int64(3), {"score": numpy.float32(0.5)}]

A framework's array is known by what it can do (`shape`, `__array__`, `item`), so that none needs to be imported.
"""

import sys
from typing import Any

_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_NUMPY_KINDS = "biufcOSUmM"  # of dtype.kind; others (bfloat16) are known to few


def plain(value: Any) -> Any:
    """`value` with the arrays in it, at any depth of lists, tuples and dicts, as NumPy's scalars and arrays."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        if all(type(entry) in _PLAIN for entry in value):
            return value
        entries = [plain(entry) for entry in value]
        return entries if isinstance(value, list) else _like(value, entries)
    return _from_array(value) if hasattr(value, "shape") and not hasattr(value, "iloc") else value


def _like(value: tuple[Any, ...], entries: list[Any]) -> Any:
    """A tuple of the same kind, with names where it has names."""
    return type(value)(*entries) if hasattr(value, "_fields") else tuple(entries)


def _from_array(value: Any) -> Any:
    loaded = sys.modules.get("numpy")
    if loaded is not None and isinstance(value, loaded.generic):
        return value
    try:
        import numpy

        array = numpy.asarray(value)
        if array.dtype.kind in _NUMPY_KINDS and (array.dtype != object or isinstance(value, numpy.ndarray)):
            return array[()]  # a scalar where it has no dimensions, else itself
    except Exception:  # on a GPU, with a gradient, of a type that NumPy lacks, or no array at all
        pass
    if hasattr(value, "detach"):
        value = value.detach()
    return value.tolist() if hasattr(value, "tolist") else value


def span_text(value: Any) -> str:
    """A time span as pandas writes it ("1 days 02:00:00"), or as Python does where pandas cannot hold it."""
    import pandas

    try:
        return str(pandas.Timedelta(value))
    except (OverflowError, ValueError):
        return str(value)
