"""`mini_batch_size`: what a user may write for each input type, and the `Size` that it means.

    files        10                              a count of files
    csv, jsonl   1024, "1024KB", "1MB", "1GB"    bytes
    parquet      the same, or "500 rows"; left out: one row group
    hdf5         "500 rows"; left out: the rows of one chunk

1KB is 1024 bytes, as in ParallelRunStep. Case and spaces do not matter.
"""

import re

from mpibatch.config.schema import InputType, Size, Unit

LARGEST = 2**63 - 1
"""The largest count or size anywhere in a job: what the plan and the log can hold."""

_BYTES = {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "tb": 1024**4}
_SIZE = re.compile(r"\s*([0-9]{1,19})\s*([a-z]*)\s*", re.IGNORECASE)

_DEFAULTS = {
    InputType.FILES: Size(10, Unit.ITEMS),
    InputType.CSV: Size(1024**2, Unit.BYTES),
    InputType.JSONL: Size(1024**2, Unit.BYTES),
    InputType.PARQUET: None,
    InputType.HDF5: None,
}
_ALLOWED = {
    InputType.FILES: "a positive number of files, such as 10",
    InputType.CSV: "a positive size in bytes, such as 1024, 1024KB, 10MB or 1GB",
    InputType.JSONL: "a positive size in bytes, such as 1024, 1024KB, 10MB or 1GB",
    InputType.PARQUET: 'a positive size such as 10MB, a number of rows such as "500 rows", '
    "or left out for one row group each",
    InputType.HDF5: 'a positive number of rows such as "500 rows", or left out for the rows of one chunk',
}


def parse_size(value: object, type: InputType) -> Size | None:
    """None stands for a default that only the data can tell. Raises ValueError that says what is allowed."""
    if value is None:
        return _DEFAULTS[type]
    number, word = _split(value)
    size = _size(number, Unit.ROWS) if word in {"row", "rows"} else _size(number * _BYTES.get(word, 0), Unit.BYTES)
    match type, size:
        case (InputType.FILES, Size(unit=Unit.BYTES)) if word == "":
            return Size(number, Unit.ITEMS)
        case (InputType.CSV | InputType.JSONL, Size(unit=Unit.BYTES)):
            return size
        case (InputType.PARQUET, Size()):
            return size
        case (InputType.HDF5, Size(unit=Unit.ROWS)):
            return size
        case _:
            raise ValueError(_ALLOWED[type])


def format_size(size: Size) -> str:
    """The shortest way to write a size; `parse_size` reads it back."""
    match size.unit:
        case Unit.ITEMS:
            return str(size.value)
        case Unit.ROWS:
            return f"{size.value} rows"
        case Unit.BYTES:
            unit = max((unit for unit in _BYTES if size.value % _BYTES[unit] == 0), key=lambda unit: _BYTES[unit])
            return f"{size.value // _BYTES[unit]}{unit.upper()}"


def _split(value: object) -> tuple[int, str]:
    """A number and a lower-case word; a number of 0 if there is no sense in it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, ""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return (int(match[1]), match[2].lower()) if match else (0, "")


def _size(number: int, unit: Unit) -> Size | None:
    return Size(number, unit) if 1 <= number <= LARGEST else None
