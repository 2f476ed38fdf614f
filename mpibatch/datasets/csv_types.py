"""Numbers of a CSV that are not what the text says, and the types that lose no digit.

pyarrow reads whole numbers beyond 64 bits as float64, and 0x1F as 31. What may be such is looked at as text: numbers up
to 2**64 are uint64, and what no type holds is text, as pandas has it.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mpibatch.datasets.schemas import extremes, is_big, is_exact

_WHOLE = r"^[ ]*[+-]?[0-9]+[ ]*$"
_HEX = r"^[ ]*[+-]?0[xX]"


def is_doubtful(column: Any, data: bytes) -> bool:
    """Whether the column, read from `data`, may not be what the text says."""
    if pa.types.is_float64(column.type):
        return is_big(*extremes(column))
    return bool(pa.types.is_integer(column.type)) and _has_hex(data)


def _has_hex(data: bytes) -> bool:
    # the letter is looked for first: it is rare, and the zero is not, at which a search for both would stop
    return any(letter in data and b"0" + letter in data for letter in (b"x", b"X"))


def exact_column(column: Any, text: Any) -> Any:
    """The column in a type that holds it exactly: itself, uint64, or `text`."""
    if pa.types.is_integer(column.type):
        return text if pc.any(pc.match_substring_regex(text, _HEX)).as_py() else column
    whole = pc.match_substring_regex(text, _WHOLE)
    long = pc.and_(whole, pc.greater(pc.utf8_length(text), 15))
    numbers = [int(value) for value in pc.unique(text.filter(long)).to_pylist()]
    if all(is_exact(number) for number in numbers):
        return column
    if pc.all(whole).as_py() and min(numbers) >= 0 and max(numbers) < 1 << 64:
        try:
            return pc.utf8_trim_whitespace(text).cast(pa.uint64())
        except pa.ArrowInvalid:
            return text
    return text
