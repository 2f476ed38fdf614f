"""Plain text: one line per row, UTF-8, "\\n" at the end of each.

| returned            | a line is |
| ------------------- | --------- |
| list or tuple       | `str()` of the element; an array as an element is written as a nested list, in full |
| 1-D array, Series   | `str()` of the value |
| 2-D array           | the values, separated by a space |
| array of 3-D and up | the entry as a nested list |
| DataFrame           | the values, separated by a space, no header and no quotes; a missing value is `nan` |

A DataFrame looks like ParallelRunStep's, which separates columns by a space too.

A row never spans lines: carriage returns and newlines inside it become the two characters `\\r` and `\\n` (a
backslash itself stays as it is, so this cannot be undone; choose .csv or .jsonl where rows hold newlines).
What UTF-8 cannot hold, such as the surrogates of a file name that is not UTF-8, is written as `\\udcff`.
"""

from typing import Any

from mpibatch.output.base import Encoded
from mpibatch.output.returned import is_table, is_table_or_array, wrong


class TextEncoder:
    """The executor's half."""

    def encode(self, returned: Any) -> Encoded:
        if not isinstance(returned, list | tuple):
            returned = _lines(returned)
        count = len(returned)
        if not count:
            return Encoded(0, b"")
        rows = [row if type(row) is str else _line(row) for row in returned]
        text = "\n".join(rows)
        # One look at the joined text tells that no row holds a newline: the usual case costs no call per row.
        if text.count("\n") != count - 1 or "\r" in text:
            text = "\n".join([row.replace("\r", "\\r").replace("\n", "\\n") for row in rows])
        return Encoded(count, (text + "\n").encode("utf-8", "backslashreplace"))

    def join(self, parts: list[Encoded]) -> Encoded:
        return Encoded(sum(part.rows for part in parts), b"".join(part.data for part in parts))


class TextStream:
    """Rank 0's half: lines have no schema, so all fit."""

    def begin(self, schema: bytes) -> bytes:
        return b""

    def settle(self, declared: bytes | None, schema: bytes) -> bytes | None:
        return declared or schema

    def explain(self, declared: bytes, schema: bytes) -> str:
        return "every row fits a text file"


def _line(row: Any) -> str:
    # str() of an array is cut short with dots and broken into lines.
    return str(row.tolist()) if hasattr(row, "tolist") and getattr(row, "ndim", None) else str(row)


def _lines(returned: Any) -> list[Any]:
    if is_table(returned):
        frame = returned if hasattr(returned, "iloc") else returned.to_pandas()
        columns = [frame.iloc[:, position].astype(str).tolist() for position in range(len(frame.columns))]
        return [" ".join(map(str, row)) for row in zip(*columns, strict=True)] if columns else [""] * len(frame)
    if is_table_or_array(returned):
        import numpy

        array = numpy.asarray(returned)
        if array.ndim == 1:
            return list(array)
        if array.ndim == 2:
            return [" ".join(map(str, row)) for row in array]
        if array.ndim > 2:
            return [str(row) for row in array.tolist()]
    raise wrong(returned)
