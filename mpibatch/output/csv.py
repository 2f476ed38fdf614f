"""CSV: RFC 4180 but for "\\n" at line ends; UTF-8; the header once, written by rank 0.

| returned              | a row is |
| --------------------- | -------- |
| DataFrame             | its columns; the index only with `index: true` |
| list of dicts         | the keys in order of first appearance; a missing key is an empty field |
| list of named tuples  | their fields |
| list of tuples, lists | one field each, no header; all of one length |
| list of scalars       | one field, no header |
| 1-D array             | one field; a header only for a Series with a name, or a structured array |
| 2-D array             | one field a column, no header; further dimensions become JSON in the field |

Two writers make the fields. Lists go through Python's csv module: quotes only where needed, floats as `repr`
writes them. DataFrames and arrays go through pyarrow, several times as fast as pandas: every string in
quotes, and a whole float without ".0". Both write true and false, an empty field for None and NaN (`""` where it is the
only one of its row, as a blank line is no row), JSON for lists and dicts, and `str()` of what CSV has no form for: time
spans as pandas has them, periods, intervals, UUIDs. `index`, `float_format` and `date_format` are pandas' own: with one
of them everything is written by `DataFrame.to_csv`; an index of several levels is as many columns.

With `schema` the columns are those named there, in that order; only the names count in a CSV. A key that a dict lacks
is an empty field. A mini-batch whose columns come in another order than the file's is put in order by rank 0.
"""

import csv
import io
import json
from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from types import SimpleNamespace
from typing import Any

from mpibatch.config.schema import RowFormat
from mpibatch.large import LARGE_BYTES
from mpibatch.output.base import Encoded, InvalidReturn
from mpibatch.output.frames import from_arrow, in_full
from mpibatch.output.pieces import PIECE_LINES, terminated, text_of, utf8
from mpibatch.output.return_values import NO_COLUMNS, as_python, invalid_return, is_missing, is_table, rows_of
from mpibatch.output.scalars import span_text

QUOTE = '"'
BATCH_ROWS = 1024  # that pyarrow writes at once, each time with a copy of them
_SPELLINGS: dict[str, str | None] = {
    "True": "true",
    "False": "false",
    "nan": None,
    "NaT": None,
    "<NA>": None,
}  # as pyarrow writes them


class CsvEncoder:
    """The executor's half. The schema is the column names as JSON, or the number of columns without names."""

    def __init__(self, fmt: RowFormat) -> None:
        self._format = fmt
        self._sep = fmt.sep
        self._declared = list(fmt.schema) if fmt.schema else None
        self._single = b"" if self._declared else b"1"
        self._pandas = fmt.index or fmt.float_format is not None or fmt.date_format is not None

    def encode(self, returned: Any) -> Encoded:
        if not isinstance(returned, list | tuple):
            return self._encode_columns(returned)
        if not returned:
            return Encoded(0, b"")
        if self._pandas:
            return self._encode_list_by_pandas(returned)
        data = self._plain_texts(returned)
        if data is None:
            return self._encode_list(returned)
        return Encoded(len(returned), data, self._single or self._schema(None, 1))

    def _plain_texts(self, returned: list[Any] | tuple[Any, ...]) -> bytes | None:
        """A field a line; None unless all are text that needs no quotes."""
        try:
            text = text_of(returned)
        except TypeError:
            return None
        if text is None:
            return terminated(returned) if all(map(self._is_plain, returned)) else None
        # One look at the joined text tells whether any field needs quotes.
        if (
            text.count("\n") != len(returned) - 1
            or self._sep in text
            or QUOTE in text
            or "\r" in text
            or "" in returned
        ):
            return None
        return utf8(text + "\n")

    def _is_plain(self, row: Any) -> bool:
        """Whether it is text that needs no quotes."""
        special = ("\n", self._sep, QUOTE, "\r")
        return isinstance(row, str) and row != "" and not any(character in row for character in special)

    def join(self, parts: list[Encoded]) -> Encoded:
        stream = CsvFormat(self._format)
        rows, data, schema = sum(part.rows for part in parts), b"", b""
        for part in parts:
            if not part.rows:
                continue
            merged = stream.merge_schema(schema, part.schema)
            if merged is None:
                shown = f"{schema.decode()}, {part.schema.decode()}"
                raise InvalidReturn(f"the parts of one mini-batch returned different columns: {shown}")
            data += part.data if merged == part.schema else stream.reorder(merged, part.schema, part.data)
            schema = merged
        return Encoded(rows, data, schema)

    def _encode_list(self, returned: Any) -> Encoded:
        table = rows_of(returned)
        names, rows = table.names, table.rows
        width = len(names) if names is not None else len(rows[0])
        if names is not None and self._declared and names != self._declared:
            order = self._order(names, optional=isinstance(returned[0], dict))
            rows = [[None if at is None else row[at] for at in order] for row in rows]
        data = _lines(([_cell(value) for value in row] for row in rows), self._sep)
        return Encoded(len(rows), data, self._schema(names, width))

    def _encode_list_by_pandas(self, returned: Any) -> Encoded:
        import pandas

        table = rows_of(returned)
        frame, names = pandas.DataFrame(table.rows, columns=table.names), table.names
        if names is not None and self._declared and isinstance(returned[0], dict):
            self._order(names, optional=True)
            frame = frame.reindex(columns=self._declared)
            names = self._declared
        return self._encode_by_pandas(frame, names)

    def _encode_by_pandas(self, frame: Any, names: list[str] | None) -> Encoded:
        if not len(frame):
            return Encoded(0, b"")
        if not frame.columns.size:
            raise InvalidReturn(NO_COLUMNS)
        if names is not None and self._declared:
            frame = frame.iloc[:, self._order(names)]
        fmt = self._format
        text = in_full(frame, _json).to_csv(
            sep=fmt.sep,
            header=False,
            index=fmt.index,
            float_format=fmt.float_format,
            date_format=fmt.date_format,
            lineterminator="\n",
        )
        levels = ["" if name is None else str(name) for name in frame.index.names] if fmt.index else []
        return Encoded(len(frame), utf8(text), self._schema(names, len(frame.columns), levels))

    def _encode_columns(self, returned: Any) -> Encoded:
        if self._pandas and hasattr(returned, "iloc") and is_table(returned):
            return self._encode_by_pandas(returned, [str(name) for name in returned.columns])
        if not (hasattr(returned, "__array__") or is_table(returned)):
            raise invalid_return(returned)  # before pyarrow is imported in vain

        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        from mpibatch.output.columns import as_text, columns_of

        columns = columns_of(returned, as_text)
        names = columns.names if columns.named else None
        if not columns.rows:
            return Encoded(0, b"")
        if self._pandas:
            frame = from_arrow(pa.Table.from_arrays(columns.arrays, names=columns.names))
            return self._encode_by_pandas(frame, names)
        arrays = [writable(array) for array in columns.arrays]
        if names is not None and self._declared:
            arrays = [arrays[at] for at in self._order(names)]
        blank = len(arrays) == 1 and arrays[0].null_count > 0
        table = pa.Table.from_arrays(arrays, names=[str(at) for at in range(len(arrays))])
        try:
            if blank and is_text(arrays[0].type):
                table = pa.table({"0": arrays[0].fill_null("" if is_text(arrays[0].type) == "text" else b"")})
            sink = io.BytesIO() if table.nbytes > LARGE_BYTES else pa.BufferOutputStream()
            rows = max(1, min(BATCH_ROWS, table.num_rows * LARGE_BYTES // max(1, table.nbytes)))
            options = arrow_csv.WriteOptions(include_header=False, delimiter=self._sep, batch_size=rows)
            arrow_csv.write_csv(table, sink, options)
        except pa.ArrowException as error:
            kinds = ", ".join(f"{name}: {array.type}" for name, array in zip(columns.names, arrays, strict=False))
            raise InvalidReturn(f"the columns {kinds} cannot be written as CSV: {error}; make them text") from error
        data = sink.getvalue() if isinstance(sink, io.BytesIO) else sink.getvalue().to_pybytes()  # that makes a copy
        if blank and not is_text(arrays[0].type):
            data = b"".join(b'""\n' if line == b"\n" else line for line in data.splitlines(keepends=True))
        return Encoded(columns.rows, data, self._schema(names, len(arrays)))

    def _order(self, names: list[str], optional: bool = False) -> list[Any]:
        """Positions of the declared columns. optional: None for those that are not there; one of them has to be."""
        declared = self._declared or names
        missing = [name for name in declared if name not in names]
        if missing and (not optional or len(missing) == len(declared)):
            raise InvalidReturn(f"columns of append_row_format.schema are missing: {missing}; there are {names}")
        return [names.index(name) if name in names else None for name in declared]

    def _schema(self, names: list[str] | None, width: int, levels: list[str] | None = None) -> bytes:
        """levels: names of the index's columns, in front"""
        if self._declared:
            if width != len(self._declared) and names is None:
                raise InvalidReturn(f"rows have {width} columns, append_row_format.schema has {self._declared}")
            names = self._declared
        levels = levels or []
        return json.dumps(width + len(levels) if names is None else [*levels, *names]).encode()


class CsvFormat:
    """Rank 0's half."""

    def __init__(self, fmt: RowFormat) -> None:
        self._format = fmt

    def header(self, schema: bytes) -> bytes:
        names = json.loads(schema) if schema else 0
        if isinstance(names, int) or not self._format.header:
            return b""
        return _lines([names], self._format.sep)

    def merge_schema(self, declared: bytes | None, schema: bytes) -> bytes | None:
        if not declared or declared == schema:
            return schema
        ours, theirs = json.loads(declared), json.loads(schema)
        same = isinstance(ours, list) and isinstance(theirs, list) and sorted(ours) == sorted(theirs)
        return declared if same and len(set(ours)) == len(ours) else None

    def reorder(self, declared: bytes, schema: bytes, data: bytes) -> bytes:
        names = json.loads(schema)
        order = [names.index(name) for name in json.loads(declared)]
        rows = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=self._format.sep)
        return _lines(([row[at] for at in order] for row in rows), self._format.sep)

    def explain_mismatch(self, declared: bytes, schema: bytes) -> str:
        return f"the file has {_described(declared)}, this mini-batch returned {_described(schema)}"


def _described(schema: bytes) -> str:
    names = json.loads(schema)
    return f"{names} columns without names" if isinstance(names, int) else f"the columns {names}"


def _lines(rows: Iterable[Iterable[Any]], sep: str) -> bytes:
    # Some versions of the csv module quote only the line ends that they write: let "\r" be one of them.
    lines: list[str] = []
    sink = SimpleNamespace(write=lambda line: lines.append(line.removesuffix("\r\n")))
    writer = csv.writer(sink, delimiter=sep, lineterminator="\r\n")
    data, iterator = io.BytesIO(), iter(rows)
    while piece := list(islice(iterator, PIECE_LINES)):
        writer.writerows(piece)
        data.write(utf8("\n".join([*lines, ""])))
        lines.clear()
    return data.getvalue()


def _cell(value: Any) -> Any:
    """What the csv module is given for a value that it would write differently from pyarrow."""
    if is_missing(value) or isinstance(value, str):
        return value if isinstance(value, str) else None
    if isinstance(value, list | tuple | dict | set | frozenset) or bool(getattr(value, "ndim", False)):
        return _json(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, timedelta) or getattr(getattr(value, "dtype", None), "kind", "") == "m":
        return span_text(value)
    text = str(value)  # of NumPy's scalars too
    return _SPELLINGS.get(text, text)


def _json(value: Any) -> str:
    return json.dumps(as_python(value), ensure_ascii=False, default=_in_json)


def _in_json(value: Any) -> Any:
    """What stands for a value that JSON does not know; str() would cut a long array short."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return value.tolist() if hasattr(value, "tolist") else str(value)


def is_text(kind: Any) -> str:
    """ "text" or "bytes" for what the writer puts in quotes, else ""."""
    import pyarrow as pa

    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    return "bytes" if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else ""


def writable(array: Any) -> Any:
    """The array in a type that pyarrow's CSV writer has, and means as pandas does."""
    import pyarrow as pa

    from mpibatch.output.columns import as_json, as_text

    if pa.types.is_dictionary(array.type):
        return writable(array.dictionary_decode())
    if pa.types.is_nested(array.type):
        return pa.array([None if value is None else as_json(value) for value in array.to_pylist()], pa.string())
    if pa.types.is_duration(array.type):
        return as_text("", array.to_pandas(), TypeError())
    if pa.types.is_fixed_size_binary(array.type) and not pa.types.is_decimal(array.type):
        array = array.cast(pa.binary())
    if is_text(array.type) == "bytes":
        return _decoded(array)
    if pa.types.is_float16(array.type):
        return array.cast(pa.float32())
    return array


def _decoded(array: Any) -> Any:
    """Bytes as text; what is no UTF-8 in them as \\xff."""
    import pyarrow as pa

    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        texts = [None if value is None else value.decode("utf-8", "backslashreplace") for value in array.to_pylist()]
        return pa.array(texts, pa.string())
