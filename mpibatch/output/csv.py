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
quotes, and a whole float without ".0". Both write true and false, an empty field for None and NaN, and JSON
for lists and dicts. `index`, `float_format` and `date_format` are pandas' own: with one of them everything is
written by `DataFrame.to_csv`.

With `schema` the columns are those named there, in that order; only the names count in a CSV.
"""

import csv
import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from mpibatch.config.schema import RowFormat
from mpibatch.output.base import Encoded, WrongReturn
from mpibatch.output.returned import is_table, rows_of, wrong

QUOTE = '"'
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
        try:
            text = "\n".join(returned)
        except TypeError:
            return self._encode_list(returned)
        # One look at the joined text tells whether any field needs quotes.
        if (
            text.count("\n") != len(returned) - 1
            or self._sep in text
            or QUOTE in text
            or "\r" in text
            or "" in returned
        ):
            return self._encode_list(returned)
        return Encoded(len(returned), _bytes(text + "\n"), self._single or self._schema(None, 1))

    def join(self, parts: list[Encoded]) -> Encoded:
        schemas = {part.schema: None for part in parts if part.rows}
        if len(schemas) > 1:
            shown = ", ".join(schema.decode() for schema in schemas)
            raise WrongReturn(f"the parts of one mini-batch returned different columns: {shown}")
        rows = sum(part.rows for part in parts)
        return Encoded(rows, b"".join(part.data for part in parts), next(iter(schemas), b""))

    def _encode_list(self, returned: Any) -> Encoded:
        table = rows_of(returned)
        names, rows = table.names, table.rows
        width = len(names) if names is not None else len(rows[0])
        if names is not None and self._declared and names != self._declared:
            order = self._order(names)
            rows = [[row[at] for at in order] for row in rows]
        data = _lines(([_cell(value) for value in row] for row in rows), self._sep)
        return Encoded(len(rows), data, self._schema(names, width))

    def _encode_list_by_pandas(self, returned: Any) -> Encoded:
        import pandas

        table = rows_of(returned)
        return self._encode_by_pandas(pandas.DataFrame(table.rows, columns=table.names), table.names)

    def _encode_by_pandas(self, frame: Any, names: list[str] | None) -> Encoded:
        if not len(frame):
            return Encoded(0, b"")
        if names is not None and self._declared:
            frame = frame.iloc[:, self._order(names)]
        fmt = self._format
        text = frame.to_csv(
            sep=fmt.sep,
            header=False,
            index=fmt.index,
            float_format=fmt.float_format,
            date_format=fmt.date_format,
            lineterminator="\n",
        )
        return Encoded(len(frame), _bytes(text), self._schema(names, len(frame.columns)))

    def _encode_columns(self, returned: Any) -> Encoded:
        if self._pandas and hasattr(returned, "iloc") and is_table(returned):
            return self._encode_by_pandas(returned, [str(name) for name in returned.columns])
        if not (hasattr(returned, "__array__") or is_table(returned)):
            raise wrong(returned)  # before pyarrow is imported in vain

        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        from mpibatch.output.tables import as_text, columns_of

        columns = columns_of(returned, as_text)
        names = columns.names if columns.named else None
        if not columns.rows:
            return Encoded(0, b"")
        if self._pandas:
            frame = pa.Table.from_arrays(columns.arrays, names=columns.names).to_pandas()
            return self._encode_by_pandas(frame, names)
        arrays = [_writable(array) for array in columns.arrays]
        if names is not None and self._declared:
            arrays = [arrays[at] for at in self._order(names)]
        table = pa.Table.from_arrays(arrays, names=[str(at) for at in range(len(arrays))])
        sink = pa.BufferOutputStream()
        arrow_csv.write_csv(table, sink, arrow_csv.WriteOptions(include_header=False, delimiter=self._sep))
        return Encoded(columns.rows, sink.getvalue().to_pybytes(), self._schema(names, len(arrays)))

    def _order(self, names: list[str]) -> list[int]:
        """Positions of the declared columns."""
        declared = self._declared or names
        if missing := [name for name in declared if name not in names]:
            raise WrongReturn(f"columns of append_row_format.schema are missing: {missing}; there are {names}")
        return [names.index(name) for name in declared]

    def _schema(self, names: list[str] | None, width: int) -> bytes:
        if self._declared:
            if width != len(self._declared) and names is None:
                raise WrongReturn(f"rows have {width} columns, append_row_format.schema has {self._declared}")
            names = self._declared
        return json.dumps(width if names is None else names).encode()


class CsvStream:
    """Rank 0's half."""

    def __init__(self, fmt: RowFormat) -> None:
        self._format = fmt

    def begin(self, schema: bytes) -> bytes:
        names = json.loads(schema) if schema else 0
        if isinstance(names, int) or not self._format.header:
            return b""
        return _lines([["", *names] if self._format.index else names], self._format.sep)

    def settle(self, declared: bytes | None, schema: bytes) -> bytes | None:
        return schema if not declared or declared == schema else None

    def explain(self, declared: bytes, schema: bytes) -> str:
        return f"the file has {_described(declared)}, this mini-batch returned {_described(schema)}"


def _described(schema: bytes) -> str:
    names = json.loads(schema)
    return f"{names} columns without names" if isinstance(names, int) else f"the columns {names}"


def _lines(rows: Iterable[Iterable[Any]], sep: str) -> bytes:
    # Some versions of the csv module quote only the line ends that they write: let "\r" be one of them.
    lines: list[str] = []
    sink = SimpleNamespace(write=lambda line: lines.append(line.removesuffix("\r\n")))
    csv.writer(sink, delimiter=sep, lineterminator="\r\n").writerows(rows)
    return _bytes("\n".join([*lines, ""]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _cell(value: Any) -> Any:
    """What the csv module is given for a value that it would write differently from pyarrow."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    text = str(value)  # of NumPy's scalars too
    return _SPELLINGS.get(text, text)


def _writable(array: Any) -> Any:
    """The array in a type that pyarrow's CSV writer has."""
    import pyarrow as pa

    from mpibatch.output.tables import as_json

    if pa.types.is_dictionary(array.type):
        return _writable(array.cast(array.type.value_type))
    if pa.types.is_nested(array.type):
        return pa.array([None if value is None else as_json(value) for value in array.to_pylist()], pa.string())
    if pa.types.is_float16(array.type):
        return array.cast(pa.float32())
    return array
