"""What users write for amounts: `mini_batch_size`, by input type, and the `Size` that it means; memory in bytes.

    files, tar           10                              a count of files, of an archive's members
    lines, csv, jsonl    1024, "1024KB", "1MB", "1GB"    bytes, or "500 rows"
    parquet, arrow, orc  the same; left out: one row group, record batch or stripe
    hdf5                 "500 rows"; left out: the rows of one chunk
    mltable              any of these: what its files hold is told when its step begins

1KB is 1024 bytes, as in ParallelRunStep. Case and spaces do not matter.
"""

import re

from mpibatch.config.choices import InputType
from mpibatch.config.values import LARGEST, Size, Unit

_BYTES = {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "tb": 1024**4}
_SIZE = re.compile(r"\s*([0-9]{1,19})\s*([a-z]*)\s*", re.IGNORECASE)

_COUNTED = (InputType.FILES, InputType.TAR)
_TEXTS = (InputType.LINES, InputType.CSV, InputType.JSONL)
_GROUPED = (InputType.PARQUET, InputType.ARROW, InputType.ORC)
_DEFAULTS = {
    **dict.fromkeys(_COUNTED, Size(10, Unit.ITEMS)),
    **dict.fromkeys(_TEXTS, Size(1024**2, Unit.BYTES)),
    **dict.fromkeys(_GROUPED),
    InputType.HDF5: None,
    InputType.MLTABLE: None,
}
_ALLOWED = {
    **dict.fromkeys(_COUNTED, "a positive number of files, such as 10"),
    **dict.fromkeys(
        _TEXTS, 'a positive size in bytes, such as 1024, 1024KB, 10MB or 1GB, or in rows, such as "500 rows"'
    ),
    **dict.fromkeys(
        _GROUPED,
        'a positive size such as 10MB, a number of rows such as "500 rows", or left out for one row group each',
    ),
    InputType.HDF5: 'a positive number of rows such as "500 rows", or left out for the rows of one chunk',
    InputType.MLTABLE: 'a positive size such as 10MB, or a number of rows such as "500 rows"',
}


def parse_size(value: object, type: InputType) -> Size | None:
    """None stands for a default that only the data can tell. Raises ValueError that says what is allowed."""
    if value is None:
        return _DEFAULTS[type]
    number, word = _split(value)
    size = _size(number, Unit.ROWS) if word in {"row", "rows"} else _size(number * _BYTES.get(word, 0), Unit.BYTES)
    match type, size:
        case (InputType.FILES | InputType.TAR, Size(unit=Unit.BYTES)) if word == "":
            return Size(number, Unit.ITEMS)
        case (_, Size()) if type in (*_TEXTS, *_GROUPED, InputType.MLTABLE):
            return size
        case (InputType.HDF5, Size(unit=Unit.ROWS)):
            return size
        case _:
            raise ValueError(_ALLOWED[type])


def parse_memory(text: str | None) -> int | None:
    """Bytes of an amount of memory as the job file has it: "1.5GB" is 1.5 * 1024**3."""
    if text is None:
        return None
    return int(float(text[:-2]) * _BYTES[text[-2:].lower()])


def format_memory(bytes: float) -> str:
    """The same for people, to three digits: "1.5GB"."""
    for unit in ("tb", "gb", "mb"):
        if bytes >= _BYTES[unit]:
            return f"{bytes / _BYTES[unit]:.3g}{unit.upper()}"
    return f"{bytes / 1024:.3g}KB"


def uncompressed(name: str) -> str:
    """An output file's name without `.gz` and `.zst`."""
    return name.removesuffix(".gz").removesuffix(".zst")


def _split(value: object) -> tuple[int, str]:
    """A number and a lower-case word; a number of 0 if there is no sense in it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, ""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return (int(match[1]), match[2].lower()) if match else (0, "")


def _size(number: int, unit: Unit) -> Size | None:
    return Size(number, unit) if 1 <= number <= LARGEST else None
