"""JSON lines: one object a line, read by pyarrow, given to the script as a pandas DataFrame.

A newline inside a string is written `\n` in JSON, so any newline ends a row and cuts are always right.
Columns are the fields of all sampled rows; a row that lacks one has a null there. A row whose value is of another type
than that of most fails its mini-batch, and the types stand. A field that no sample had fails the mini-batch, as its
column would exist in some mini-batches only: name it in `column_types`, or choose `columns`. Whole numbers that are
beyond 64 bits in some row are text, with all their digits; among fractions they fail their mini-batch where a float
would lose a digit. Lists become NumPy arrays, objects dicts, strings that look like ISO 8601 times to the second
datetimes, in UTC where all have a zone (column_types: string prevents it); within lists and objects they stay text.

A declared type is read as it is where JSON has it; times are read as text, and numbers that are to be text as numbers.
"""

import codecs
import json
import re
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

from mpibatch.datasets.base import LoadError
from mpibatch.datasets.quoting import Delimiters
from mpibatch.datasets.schemas import (
    FOUND,
    extremes,
    is_big,
    is_exact,
    load_schema,
    merge,
    nullable_unless_in_all,
    observed,
    settle,
)
from mpibatch.datasets.table_base import Span
from mpibatch.datasets.text_slices import FileHeader
from mpibatch.datasets.text_table import TextTable

_LONG = pa.decimal256(76, 0)  # reads whole numbers of any sensible length
_PARTS = 256  # tries to read a sample that cannot be read whole
_ZONE = r":.*(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_NO_OBJECT = re.compile(rb"\n[ \t\r]*[^{ \t\r\n][^\n]{0,60}")
DIGITS = b"digits"  # in a field's metadata: text that is whole numbers in the file

_LARGEST = (1 << 31) - 2  # bytes that pyarrow parses at once


class JsonlDataset(TextTable):
    """One input of type jsonl."""

    text_wins = False
    missing_is_null = True

    def needs_scan(self, total: int) -> bool:
        return False

    def splittable(self) -> bool:
        return True

    def read_header(self, data: bytes, complete: bool) -> FileHeader | None:
        start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
        while data.startswith((b"\n", b"\r\n"), start):
            start += 1 if data.startswith(b"\n", start) else 2
        return FileHeader(start, None, "utf-8", Delimiters(quote=b""))

    def parse(self, data: bytes, header: FileHeader, span: Span, schema: Any) -> Any:
        if not data.strip():
            return (schema or pa.schema([])).empty_table()
        if schema is None:
            return _read(data, arrow_json.ParseOptions())
        wanted = pa.schema([pa.field(field.name, _as_read(field)) for field in schema])
        others = "ignore" if self._spec.columns else "error"
        try:
            table = _read(data, arrow_json.ParseOptions(wanted, unexpected_field_behavior=others))
            table.validate(full=True)
        except pa.ArrowInvalid as error:
            raise LoadError(f"a row is not UTF-8, which JSON is: {error}") from error
        except LoadError as error:
            raise LoadError(f"{error}{_mend(data, wanted, self._spec.column_types)}") from error
        for field in wanted:
            if FOUND not in (schema.field(field.name).metadata or {}) and _has_big(table.column(field.name)):
                _check_whole_numbers(data, field.name)
        return settle(table, schema)

    def infer(self, data: bytes, header: FileHeader) -> Any:
        if not data.strip():
            return None
        pieces: list[Any] = []
        _read_in_parts(data, pieces, [_PARTS])
        if not pieces:
            return None
        if len(pieces) == 1:
            return observed(pieces[0])
        found = [observed(piece) for piece in sorted(pieces, key=len, reverse=True)]
        merged = reduce(lambda one, other: merge(one, other, self.text_wins), found)
        names = dict.fromkeys(name for piece in pieces for name in piece.column_names)
        return pa.schema([nullable_unless_in_all(merged.field(name), found) for name in names])


def _read(data: bytes, options: Any) -> Any:
    if len(data) > _LARGEST:
        raise LoadError("more than 2 GB of rows in one mini-batch; split the file, or do not compress it")
    # pyarrow takes null for an object, and crashes where it is the first row
    if found := _NO_OBJECT.match(b"\n" + data[: 1 << 10]) or _NO_OBJECT.search(data):
        raise LoadError(f"a row is no JSON object: {found[0].strip().decode(errors='backslashreplace')}")
    try:
        return arrow_json.read_json(
            pa.BufferReader(data),
            arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            options,
        )
    except pa.ArrowException as error:
        advice = "; name it in column_types" if "unexpected field" in str(error) else ""
        raise LoadError(f"{error}{advice}") from error


def _as_read(field: Any) -> Any:
    """The type in which a column is read, before it is given the type of `field`."""
    marks = field.metadata or {}
    if DIGITS in marks:
        return _LONG
    if FOUND not in marks:
        return pa.string() if _form(field.type) == "time" else field.type
    found = load_schema(marks[FOUND]).field(0)
    if DIGITS in (found.metadata or {}):
        return _LONG
    forms = _form(found.type), _form(field.type)
    if "time" in forms and "number" not in forms:
        return pa.string()
    return field.type if forms[0] in ("null", forms[1]) else found.type


def _form(kind: Any) -> str:
    """What values of a type are in JSON; times are text of a form of their own."""
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_nested(kind):
        return "nested"
    return "time" if types.is_temporal(kind) else str(kind)


def _mend(data: bytes, wanted: Any, declared: Any) -> str:
    """What to do about rows that cannot be read in these types: "" where it is not for a column's type."""
    try:
        _read(data, arrow_json.ParseOptions(pa.schema([]), unexpected_field_behavior="ignore"))
    except LoadError:
        return ""
    for field in wanted:
        try:
            _read(data, arrow_json.ParseOptions(pa.schema([field]), unexpected_field_behavior="ignore"))
        except LoadError:
            if field.name in declared:
                return f"; column {field.name!r} is read as {field.type}, for column_types declares it"
            return (
                f"; column {field.name!r} was settled as {field.type} from samples; another type can be declared, such"
                f" as column_types: {{{field.name}: string}}"
            )
    return ""


def _has_big(column: Any) -> bool:
    """Whether there are floats, in lists and objects too, that may have been whole numbers with more digits."""
    kind = column.type
    if pa.types.is_struct(kind):
        return any(_has_big(pc.struct_field(column, at)) for at in range(kind.num_fields))
    if pa.types.is_list(kind):
        return _has_big(pc.list_flatten(column))
    return bool(pa.types.is_float64(kind)) and is_big(*extremes(column))


def _whole_numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _whole_numbers(entry)


def _check_whole_numbers(data: bytes, name: str) -> None:
    """Raises LoadError where the floats of a column were read from whole numbers that they do not hold."""
    for line in filter(None, map(bytes.strip, data.split(b"\n"))):
        for value in _whole_numbers(json.loads(line).get(name)):
            if is_exact(value):
                continue
            raise LoadError(
                f"column {name!r} has the whole number {value}, which float64 does not hold exactly, among fractions;"
                f" declare it, column_types: {{{name}: decimal(38, 9)}}, or within lists and objects write it as text"
            )


def _read_in_parts(data: bytes, pieces: list[Any], left: list[int]) -> None:
    """Tables of the longest halves, quarters, ... of the rows that can be read; at most `left` tries."""
    left[0] -= 1
    if left[0] < 0:
        return
    try:
        pieces.append(_with_zones(data, _exact(data, _read(data, arrow_json.ParseOptions()))))
        return
    except LoadError:
        middle = data.find(b"\n", len(data) // 2) + 1 or data.rfind(b"\n", 0, len(data) - 1) + 1
    if 0 < middle < len(data):
        _read_in_parts(data[:middle], pieces, left)
        _read_in_parts(data[middle:], pieces, left)


def _exact(data: bytes, table: Any) -> Any:
    """The table with whole numbers beyond 64 bits, which pyarrow takes for floats, as what holds them."""
    for at, field in enumerate(table.schema):
        if not (pa.types.is_float64(field.type) and is_big(*extremes(table.column(at)))):
            continue
        try:
            long = _read(
                data, arrow_json.ParseOptions(pa.schema([(field.name, _LONG)]), unexpected_field_behavior="ignore")
            )
        except LoadError:  # some are no whole numbers
            continue
        column = long.column(0)
        least, largest = extremes(column)
        kind = pa.uint64() if least >= 0 and largest < 1 << 64 else pa.string()
        marks = {DIGITS: b""} if kind == pa.string() else None
        table = table.set_column(at, pa.field(field.name, kind, metadata=marks), column.cast(kind))
    return table


def _with_zones(data: bytes, table: Any) -> Any:
    """The table with times as their text says: pyarrow takes them for such in UTC, and forgets their zones."""
    kinds = {field.name: kind for field in table.schema if (kind := _with_text(field.type)) != field.type}
    if not kinds:
        return table
    texts = _read(data, arrow_json.ParseOptions(pa.schema(list(kinds.items())), unexpected_field_behavior="ignore"))
    for name in kinds:
        at, column = table.schema.get_field_index(name), texts.column(name)
        if pa.types.is_timestamp(table.schema.field(at).type):
            zoned = pc.match_substring_regex(column.drop_null(), _ZONE)
            if pc.all(zoned).as_py():
                column = column.cast(pa.timestamp("s", "UTC"))
            elif not pc.any(zoned).as_py():
                continue
        table = table.set_column(at, name, column)
    return table


def _with_text(kind: Any) -> Any:
    """The type with text for the times in it."""
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _with_text(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_with_text(kind.value_type))
    return pa.string() if pa.types.is_timestamp(kind) else kind
