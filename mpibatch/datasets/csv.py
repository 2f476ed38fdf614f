"""CSV and other delimited text (RFC 4180), read by pyarrow, given to the script as a pandas DataFrame.

Header: the first row that is not empty, in every file, after `skip_rows` lines; the columns of the first file are those
of the input, other files may have them in another order. With `columns` a file that lacks one has nulls there. Without
a header columns are Column1, Column2, ... A repeated name gets ".1", ".2".

Values: an empty field, NA, NaN, null, ... (pyarrow's list, and `null_values`) is a null, except in columns of strings,
where it stays what it is unless `null_values` has it. Types are settled once for all mini-batches (see schemas.py); a
column with values of several types is strings, and so are whole numbers that no type holds, hexadecimal ones, and true
next to 1: no digit is lost (see csv_types.py).

Rows end as pyarrow has it, which reads them: at "\n", "\r\n" or "\r" outside quotes, and a quote opens a field only
as its first character (see quoting.py). A file whose first line ends with "\r" alone is cut there, any other at "\n".
`line_ends` makes one of them text: pyarrow is given a character in its place that the rows do not have. Lines that are
empty, or of several columns and nothing but spaces, are no rows; nor are those that begin with `comment`.

Cuts: `quoted_newlines` false cuts at any newline, and no slice may then end inside a quoted field: if one does, a cut
was inside (CutInsideQuotes). true scans. auto scans inputs of up to SCAN_ALL bytes.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from mpibatch.config.choices import LineEnds, QuotedNewlines
from mpibatch.config.schema import Input
from mpibatch.config.values import Size
from mpibatch.datasets.base import CutInsideQuotes, LoadError
from mpibatch.datasets.csv_head import distinct, find_header
from mpibatch.datasets.csv_types import exact_column, is_doubtful
from mpibatch.datasets.quoting import without_comments
from mpibatch.datasets.row_boundaries import ends_inside
from mpibatch.datasets.schemas import observed
from mpibatch.datasets.table_base import Span
from mpibatch.datasets.text_codec import TextCodec
from mpibatch.datasets.text_slices import LAST, WHOLE, FileHeader
from mpibatch.datasets.text_table import TextTable
from mpibatch.errors import InputError

SCAN_ALL = 1 << 30  # bytes that are scanned for quotes where quoted_newlines is auto: about a second
_LARGEST = (1 << 31) - 2  # bytes that pyarrow parses at once
_STRAY = {LineEnds.LF: (re.compile(rb"\r(?!\n)"), b"\r"), LineEnds.CR: (re.compile(rb"\n"), b"\n")}


class CsvDataset(TextTable):
    """One input of type csv."""

    text_wins = True

    def __init__(self, spec: Input, size: Size | None) -> None:
        super().__init__(spec, size)
        options = {name: getattr(spec, name) for name in ("delimiter", "quote", "escape", "comment")}
        for setting, value in options.items():
            single = len(value) == 1 and value.isascii() and value not in "\r\n"
            if not single and (value or setting == "delimiter"):
                raise InputError(f"input {spec.name!r}: {setting} must be one ASCII character, not {value!r}")
        self._codec = TextCodec(spec)

    def needs_scan(self, total: int) -> bool:
        asked = self._spec.quoted_newlines
        if self._spec.escape and asked is not QuotedNewlines.FALSE:
            return True
        if not self._spec.quote or asked is QuotedNewlines.FALSE:
            return False
        return asked is QuotedNewlines.TRUE or total <= SCAN_ALL

    def splittable(self) -> bool:
        return self._codec.splittable()

    def read_header(self, data: bytes, complete: bool) -> FileHeader | None:
        found = find_header(data, complete, self._spec, self._codec)
        if found is None:
            return None
        header, row = found
        rows, shown, hidden = self._hidden(row)
        text = io.StringIO(rows.decode(), newline="")
        names = [name.replace(hidden, shown) for name in next(csv.reader(text, **self._dialect()), [])]
        if self._spec.has_header:
            return header.with_names(distinct(names), passed=True)
        return header.with_names(tuple(f"Column{at}" for at in range(1, len(names) + 1)))

    def _dialect(self) -> dict[str, Any]:
        quote, escape = self._spec.quote, self._spec.escape
        quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
        return {"delimiter": self._spec.delimiter, "escapechar": escape or None, **quoting}

    @property
    def missing_is_null(self) -> bool:
        return bool(self._spec.columns)

    def common(self, first: Any, merged: Any) -> Any:
        import pyarrow as pa

        return merged if self._spec.columns else pa.schema([merged.field(name) for name in first.names])

    # Rows

    def parse(self, data: bytes, header: FileHeader, span: Span, schema: Any) -> Any:
        from pyarrow import csv as arrow_csv

        data = self._codec.utf8(data, header.codec)
        if ends_inside(data, header.narrow):
            if span.flags & (LAST | WHOLE):
                raise LoadError('it ends inside a quoted field (where quotes mean nothing, set quote: "")')
            raise CutInsideQuotes(
                "an odd number of quotes: a quoted field holds a newline and was cut there. Set"
                ' quoted_newlines: true for this input, or quote: "" if quotes mean nothing in it'
            )
        names = header.names or ()
        data = without_comments(data, header.narrow)
        if schema is None:
            return self._read(data or b"\n", names, arrow_csv.ConvertOptions())
        if not names and not data.strip(b"\r\n"):  # an empty part of the input
            return schema.empty_table()
        self._check_names(names, schema.names)
        if not data.strip(b"\r\n"):
            return schema.empty_table()
        options = arrow_csv.ConvertOptions(
            column_types={field.name: field.type for field in schema},
            include_columns=schema.names,
            include_missing_columns=self.missing_is_null,
        )
        table = self._read(data, names, options)
        self._check_values(data, names, table)
        return table

    def infer(self, data: bytes, header: FileHeader) -> Any:
        from pyarrow import csv as arrow_csv

        data = without_comments(self._codec.utf8(data, header.codec), header.narrow)
        if not data.strip(b"\r\n") or not header.names:
            return None
        table = self._read(data, header.names, arrow_csv.ConvertOptions(), lenient=True)
        for name, text in self._doubtful(data, header.names, table, lenient=True):
            at = table.schema.get_field_index(name)
            table = table.set_column(at, name, exact_column(table.column(at), text))
        return observed(table)

    def _doubtful(self, data: bytes, names: tuple[str, ...], table: Any, lenient: bool) -> Iterator[tuple[str, Any]]:
        """The columns whose numbers may not be what the text says, with their text."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        doubtful = [field.name for field in table.schema if is_doubtful(table.column(field.name), data)]
        if doubtful:
            options = arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(doubtful, pa.string()), include_columns=doubtful, strings_can_be_null=True
            )
            texts = self._read(data, names, options, lenient)
            yield from ((name, texts.column(name)) for name in doubtful)

    def _check_values(self, data: bytes, names: tuple[str, ...], table: Any) -> None:
        """Raises LoadError for numbers that are not what the text says: the samples had none."""
        for name, text in self._doubtful(data, names, table, lenient=False):
            column = table.column(name)
            if exact_column(column, text).type != column.type and name not in self._spec.column_types:
                raise LoadError(
                    f"column {name!r} was settled as {column.type} from a sample, which does not hold its values"
                    f" exactly; declare it: column_types: {{{name}: string}}"
                )

    def _read(self, data: bytes, names: tuple[str, ...], convert: Any, lenient: bool = False) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        if len(data) > _LARGEST:
            raise LoadError("more than 2 GB of rows in one mini-batch; split the file, or do not compress it")
        data, shown, hidden = self._hidden(data)
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(data),
                arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=list(names)),
                arrow_csv.ParseOptions(
                    delimiter=self._spec.delimiter,
                    quote_char=self._spec.quote or False,
                    escape_char=self._spec.escape or False,
                    newlines_in_values=True,
                    invalid_row_handler=lambda row: "skip" if lenient or not row.text.strip() else "error",
                ),
                arrow_csv.ConvertOptions(
                    column_types=convert.column_types,
                    include_columns=convert.include_columns,
                    include_missing_columns=convert.include_missing_columns,
                    null_values=[*convert.null_values, *self._spec.null_values],
                    true_values=["true", "True", "TRUE"],
                    false_values=["false", "False", "FALSE"],
                    strings_can_be_null=convert.strings_can_be_null,
                ),
            )
        except pa.ArrowException as error:
            raise LoadError(_reason(str(error), names, set(self._spec.column_types))) from error
        return self._texts(table, shown, hidden)

    def _hidden(self, data: bytes) -> tuple[bytes, str, str]:
        """The data with a character in place of line ends that are text; what it stands for, and the character."""
        if self._spec.line_ends is LineEnds.AUTO:
            return data, "", ""
        stray, shown = _STRAY[self._spec.line_ends]
        hidden = next((mark for mark in map(chr, (*range(1, 9), *range(14, 32))) if mark.encode() not in data), "")
        if not hidden:
            raise LoadError("the rows hold every control character; line_ends needs one that they do not have")
        return stray.sub(hidden.encode(), data), shown.decode(), hidden

    def _texts(self, table: Any, shown: str, hidden: str) -> Any:
        """The table in whose columns of text `null_values` are null, and `shown` is in place of `hidden`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not hidden and not self._spec.null_values:
            return table
        nulls = pa.array(self._spec.null_values, pa.string())
        for at, field in enumerate(table.schema):
            if not pa.types.is_string(field.type):
                continue
            column = table.column(at)
            if hidden:
                column = pc.replace_substring(column, hidden, shown)
            if len(nulls):
                column = pc.if_else(pc.is_in(column, nulls), pa.scalar(None, pa.string()), column)
            table = table.set_column(at, field, column)
        return table

    def _check_names(self, names: tuple[str, ...], wanted: list[str]) -> None:
        if self._spec.columns:
            return
        missing = [name for name in wanted if name not in names]
        extra = [name for name in names if name not in wanted]
        if missing or extra:
            raise LoadError(
                f"the columns differ from those of the input: missing {missing}, more {extra};"
                " all files must have the same columns, or `columns` must choose some: a file that lacks one has nulls"
            )


def _reason(message: str, names: tuple[str, ...], declared: set[str]) -> str:
    """pyarrow's message with the column's name, and what to do."""
    column = ""
    if found := re.search(r"In CSV column #(\d+)", message):
        at = int(found[1])
        column = names[at] if at < len(names) else ""
        message = message.replace(found[0], f"column {column!r}") if column else message
    if "UTF8" in message:
        return f"{message}; set encoding, to latin-1 perhaps"
    if column in declared:
        return f"{message}; column_types declares the type: declare one that takes all values, such as string"
    if "conversion error" in message:
        return f"{message}; it was settled from a sample; column_types can declare another"
    if "Expected" in message:
        return f"{message}; a field that holds the delimiter or a line end must be quoted (delimiter, quote, line_ends)"
    return message
