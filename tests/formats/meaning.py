"""Whether a cell of a DataFrame means what a file holds: for differential.py."""

import datetime as dt
import decimal
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

NULLS = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL",
     "NaN", "n/a", "nan", "null"]
)  # fmt: skip
"""What is a missing value to the reader of CSV."""

Same = Callable[[Any, Any], bool]


def is_null(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _whole(text: str) -> bool:
    return text.strip().lstrip("+-").isdigit()


_BOOLS, _WHOLE, _FLOATS = (bool, np.bool_), (int, np.integer), (float, np.floating)
_OF_TEXT: list[tuple[Any, Same]] = [
    (str, lambda text, value: value == text),
    (_BOOLS, lambda text, value: text.lower() == str(value).lower()),
    (_WHOLE, lambda text, value: int(text) == int(value)),
    (_FLOATS, lambda text, value: float(text) == float(value) and (not _whole(text) or int(text) == int(value))),
    (decimal.Decimal, lambda text, value: decimal.Decimal(text) == value),
    (pd.Timestamp, lambda text, value: pd.Timestamp(text) == value),
    (dt.timedelta, lambda text, value: pd.Timedelta(text) == value),
    (bytes, lambda text, value: text == value.decode("utf-8", "backslashreplace")),
    ((list, dict, np.ndarray), lambda text, value: means(json.loads(text), value)),
    (object, lambda text, value: text in (str(value), value.isoformat())),
]


def means_text(text: str, value: Any) -> bool:
    """A field of CSV."""
    if is_null(value):
        return text in NULLS
    return bool(next(same for kind, same in _OF_TEXT if isinstance(value, kind))(text, value))


def _same_number(written: Any, value: Any) -> bool:
    exact = value.item() if isinstance(value, np.generic) else value
    if isinstance(exact, str):
        return str(written) == exact
    single = isinstance(value, np.float32) and float(value) == float(np.float32(written))
    return single or decimal.Decimal(written) == decimal.Decimal(exact)


_OF_VALUE: list[tuple[Any, Same]] = [
    ((list, np.ndarray), lambda written, value: len(written) == len(value) and all(map(means, written, value))),
    (dict, lambda written, value: all(means(written.get(name), value.get(name)) for name in {*written, *value})),
    (_BOOLS, lambda written, value: isinstance(written, bool) and bool(value) == written),
    (pd.Timestamp, lambda written, value: pd.Timestamp(written) == value),
    (dt.timedelta, lambda written, value: pd.Timedelta(written) == value),
    (bytes, lambda written, value: written in (value, value.decode("utf-8", "backslashreplace"))),
]


def means(written: Any, value: Any) -> bool:
    """A value of JSON or of a typed file."""
    if is_null(value) or is_null(written):
        return is_null(value) and is_null(written)
    for kind, same in _OF_VALUE:
        if isinstance(value, kind):
            return same(written, value)
    if isinstance(written, int | float | decimal.Decimal) and not isinstance(written, bool):
        return _same_number(written, value)
    return bool(written == value) or (isinstance(written, str) and written == str(value))
