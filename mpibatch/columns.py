"""Names of column types as users write them, in `column_types` of an input and in `schema` of an output.

Arrow's own names (int8 ... uint64, float32, double, string, bool, date32, timestamp[us], binary, ...),
NumPy's and Python's usual ones (float64, int, float, str, datetime64[ns]), and list<...> of any of them.
"""

import difflib
from typing import Any

import pyarrow as pa

_NAMES: dict[str, Any] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "float64": pa.float64(),
    "str": pa.string(),
    "object": pa.string(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "timestamp": pa.timestamp("us"),
    "category": pa.dictionary(pa.int32(), pa.string()),
}
_COMMON = ["int64", "float64", "string", "bool", "date32", "timestamp[ms]", "category", "list<float64>"]


def parse_type(name: str) -> Any:
    """The Arrow type of a name. Raises ValueError, with the nearest valid name, for one that there is not."""
    text = name.strip()
    if text.startswith("list<") and text.endswith(">"):
        return pa.list_(parse_type(text[5:-1]))
    if text.lower() in _NAMES:
        return _NAMES[text.lower()]
    try:
        return pa.type_for_alias(text.lower().replace("datetime64[", "timestamp["))
    except ValueError:
        near = difflib.get_close_matches(text.lower(), [*_NAMES, *_COMMON], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no column type {name!r}{hint}; there are {_COMMON}, ...") from None
