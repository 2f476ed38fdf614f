"""Plain text: one line per row, UTF-8, "\\n" at the end of each.

| returned            | a line is |
| ------------------- | --------- |
| list or tuple       | `str()` of the element; an array as an element is written as a nested list, in full |
| 1-D array, Series   | `str()` of the value |
| 2-D array           | the values, separated by a space |
| array of 3-D and up | the entry as a nested list |
| DataFrame           | as `to_csv(sep=" ", header=None, index=None)` writes it, with its quotes |

A DataFrame looks as ParallelRunStep writes it.

A row never spans lines: carriage returns and newlines inside it become the two characters `\\r` and `\\n` (a
backslash itself stays as it is, so this cannot be undone; choose .csv or .jsonl where rows hold newlines).
What UTF-8 cannot hold, such as the surrogates of a file name that is not UTF-8, is written as `\\udcff`.
"""

from typing import Any

from mpibatch.output.base import Encoded, InvalidReturn
from mpibatch.output.frames import from_arrow, in_full
from mpibatch.output.lines import LineEncoder
from mpibatch.output.pieces import terminated, text_of, utf8
from mpibatch.output.return_values import (
    NO_COLUMNS,
    as_python,
    invalid_return,
    is_arrow_array,
    is_table,
    is_table_or_array,
)
from mpibatch.output.scalars import plain


class TextEncoder(LineEncoder):
    """The executor's half; rank 0's is `LineFormat`."""

    def encode(self, returned: Any) -> Encoded:
        if is_table(returned):
            return _encode_table(returned)
        if not isinstance(returned, list | tuple):
            returned = _lines(returned)
        count = len(returned)
        if not count:
            return Encoded(0, b"")
        rows = [row if type(row) is str else _line(row) for row in returned]
        text = text_of(rows)
        if text is None:
            return Encoded(count, terminated([_one_line(row) for row in rows]))
        # One look at the joined text tells that no row holds a newline: the usual case costs no call per row.
        if text.count("\n") != count - 1 or "\r" in text:
            text = "\n".join([_one_line(row) for row in rows])
        return Encoded(count, utf8(text + "\n"))


def _one_line(row: str) -> str:
    return row.replace("\r", "\\r").replace("\n", "\\n")


def _line(row: Any) -> str:
    row = plain(row)
    # str() of an array is cut short with dots and broken into lines.
    if hasattr(row, "tolist") and getattr(row, "ndim", None):
        return str(row.tolist())
    if is_table(row):
        raise InvalidReturn("run() returned a list of DataFrames; return one: pd.concat(frames)")
    return str(as_python(row)) if isinstance(row, tuple | list | dict) else str(row)


def _encode_table(returned: Any) -> Encoded:
    """As `to_csv(sep=" ", header=None, index=None)` writes it, but for line breaks within fields, which are escaped."""
    frame = returned if hasattr(returned, "iloc") else _as_frame(returned)
    count = len(frame)
    if count and not len(frame.columns):
        raise InvalidReturn(NO_COLUMNS)
    if not count:
        return Encoded(0, b"")
    frame = in_full(frame, lambda array: str(array.tolist()))
    text = _to_csv(frame)
    if text.count("\n") != count or "\r" in text:
        text = _to_csv(frame.map(_escape))
    return Encoded(count, utf8(text))


def _as_frame(returned: Any) -> Any:
    """A table of another library as pandas has it."""
    import pyarrow

    try:
        return from_arrow(pyarrow.table(returned))
    except Exception as error:  # each library has its own
        raise InvalidReturn(f"{type(returned).__name__} cannot be converted to pandas: {error}") from error


def _to_csv(frame: Any) -> str:
    text: str = frame.to_csv(sep=" ", header=False, index=False, lineterminator="\n", errors="surrogatepass")
    return text


def _escape(value: Any) -> Any:
    text = str(value)
    return _one_line(text) if "\n" in text or "\r" in text else value


def _lines(returned: Any) -> list[Any]:
    if is_table_or_array(returned):
        import numpy

        if is_arrow_array(returned):
            return list(returned.to_pylist() if hasattr(returned, "to_pylist") else returned.to_list())
        if isinstance(returned, numpy.ma.MaskedArray):  # None for what is masked
            values = returned.tolist()
            return [" ".join(map(str, row)) for row in values] if returned.ndim == 2 else values
        array = numpy.asarray(returned)
        if array.ndim == 1:
            return list(array)
        if array.ndim == 2:
            return [" ".join(map(str, row)) for row in array]
        if array.ndim > 2:
            return [str(row) for row in array.tolist()]
    raise invalid_return(returned)
