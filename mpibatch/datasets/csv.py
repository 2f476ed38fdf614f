"""CSV and other delimited text (RFC 4180), read by pyarrow, given to the script as a pandas DataFrame.

Header: the first row that is not empty, in every file; the columns of the first file are those of the input,
other files may have them in another order. Without a header columns are Column1, Column2, ... A repeated name
gets ".1", ".2".

Values: an empty field, NA, NaN, null, ... (pyarrow's list) is a null, except in columns of strings, where it
stays what it is. Types are settled once for all mini-batches (see schemas.py); a column with values of
several types is strings.

Cuts: `quoted_newlines` false cuts at any newline, and each slice's quotes must then be even in number: if
they are not, a cut was inside a quoted field (WrongCut). true scans. auto scans inputs of up to SCAN_ALL
bytes.
"""

import codecs
import csv
import io
import re
from dataclasses import replace
from typing import Any

from mpibatch.config.schema import Input, QuotedNewlines, Size
from mpibatch.datasets.base import LoadError, WrongCut
from mpibatch.datasets.cuts import Marks, first_end, odd_quotes
from mpibatch.datasets.lines import LAST, WHOLE, Head, Lines
from mpibatch.datasets.tables import Span
from mpibatch.errors import InputError

SCAN_ALL = 1 << 30  # bytes that are scanned for quotes where quoted_newlines is auto: about a second
_MARKED = [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")]
_LARGEST = (1 << 31) - 2  # bytes that pyarrow parses at once


class Csv(Lines):
    """One input of type csv."""

    text_wins = True

    def __init__(self, spec: Input, size: Size | None) -> None:
        super().__init__(spec, size)
        for setting, value, empty in (("delimiter", spec.delimiter, False), ("quote", spec.quote, True)):
            single = len(value) == 1 and value.isascii() and value not in "\r\n"
            if not single and not (empty and not value):
                raise InputError(f"input {spec.name!r}: {setting} must be one ASCII character, not {value!r}")
        try:
            self._codec = codecs.lookup(spec.encoding).name.removesuffix("-sig")
        except LookupError:
            raise InputError(f"input {spec.name!r}: Python knows no encoding {spec.encoding!r}") from None

    def needs_scan(self, total: int) -> bool:
        asked = self._spec.quoted_newlines
        if not self._spec.quote or asked is QuotedNewlines.FALSE:
            return False
        return asked is QuotedNewlines.TRUE or total <= SCAN_ALL

    def splittable(self) -> bool:
        """Whether newline and quote are the same bytes wherever they occur, and nothing else is."""
        if self._codec.startswith("utf-16"):
            return True
        ascii = 'a\r\n",;\t|'
        stateful = self._codec.startswith(("utf-7", "iso2022", "hz"))
        return not stateful and ascii.encode(self._codec) == ascii.encode()

    # The beginning of a file

    def read_head(self, data: bytes, complete: bool) -> Head | None:
        head = self._encoding(data)
        width = head.marks.width
        while data.startswith((head.marks.newline, head.marks.carriage + head.marks.newline), head.start):
            long = data.startswith(head.marks.carriage, head.start)
            head = replace(head, start=head.start + width * (2 if long else 1))
        rest = data[head.start :]
        end = first_end(rest, head.marks)
        if end < 0 and not complete:
            return None
        end = len(rest) if end < 0 else end
        try:
            text = rest[:end].decode(head.codec)
        except UnicodeDecodeError as error:
            raise LoadError(f"the first row is no {head.codec}: {error.reason}; set encoding") from error
        names = next(csv.reader(io.StringIO(text, newline=""), **self._dialect()), [])
        if self._spec.has_header:
            return replace(head, start=head.start + end, names=_distinct(names))
        return replace(head, names=tuple(f"Column{at}" for at in range(1, len(names) + 1)))

    def _encoding(self, data: bytes) -> Head:
        codec, start = self._codec, 0
        for mark, marked in _MARKED:
            if data.startswith(mark):
                if not marked.startswith(codec):
                    raise LoadError(f"the file begins with the mark of {marked}; set encoding: {marked[:6]}")
                codec, start = marked, len(mark)
                break
        if codec == "utf-16":
            codec = "utf-16-le"
        quote = self._spec.quote
        wide = codec if codec.startswith("utf-16") else "ascii"
        marks = Marks("\n".encode(wide), "\r".encode(wide), quote.encode(wide))
        return Head(start, None, codec, marks)

    def _dialect(self) -> dict[str, Any]:
        quote = self._spec.quote
        quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
        return {"delimiter": self._spec.delimiter, **quoting}

    def common(self, first: Any, merged: Any) -> Any:
        import pyarrow as pa

        return pa.schema([merged.field(name) for name in first.names])

    # Rows

    def parse(self, data: bytes, head: Head, span: Span, schema: Any) -> Any:
        from pyarrow import csv as arrow_csv

        if odd_quotes(data, head.marks):
            if span.flags & (LAST | WHOLE):
                raise LoadError('it ends inside a quoted field (where quotes mean nothing, set quote: "")')
            raise WrongCut(
                "an odd number of quotes: a quoted field holds a newline and was cut there. Set"
                ' quoted_newlines: true for this input, or quote: "" if quotes mean nothing in it'
            )
        names = head.names or ()
        data = self._utf8(data, head)
        if schema is None:
            return self._read(data or b"\n", names, arrow_csv.ConvertOptions())
        self._check_names(names, schema.names)
        if not data.strip(b"\r\n"):
            return schema.empty_table()
        options = arrow_csv.ConvertOptions(
            column_types={field.name: field.type for field in schema}, include_columns=schema.names
        )
        return self._read(data, names, options)

    def infer(self, data: bytes, head: Head) -> Any:
        from pyarrow import csv as arrow_csv

        data = self._utf8(data, head)
        if not data.strip(b"\r\n") or not head.names:
            return None
        return self._read(data, head.names, arrow_csv.ConvertOptions(), lenient=True)

    def _read(self, data: bytes, names: tuple[str, ...], convert: Any, lenient: bool = False) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        if len(data) > _LARGEST:
            raise LoadError("more than 2 GB of rows in one mini-batch; split the file, or do not compress it")
        try:
            return arrow_csv.read_csv(
                pa.BufferReader(data),
                arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=list(names)),
                arrow_csv.ParseOptions(
                    delimiter=self._spec.delimiter,
                    quote_char=self._spec.quote or False,
                    newlines_in_values=True,
                    invalid_row_handler=(lambda row: "skip") if lenient else None,
                ),
                convert,
            )
        except pa.ArrowInvalid as error:
            raise LoadError(_reason(str(error), names)) from error

    def _utf8(self, data: bytes, head: Head) -> bytes:
        if head.codec != "utf-8":
            try:
                data = data.decode(head.codec).encode()
            except UnicodeDecodeError as error:
                place = f"at byte {error.start} of the slice"
                raise LoadError(f"no {head.codec} {place}: {error.reason}") from error
        if (at := data.find(b"\0")) >= 0:
            raise LoadError(f"byte {at} of the slice is NUL; is the file damaged, or its encoding utf-16?")
        return data

    def _check_names(self, names: tuple[str, ...], wanted: list[str]) -> None:
        missing = [name for name in wanted if name not in names]
        extra = [] if self._spec.columns else [name for name in names if name not in wanted]
        if missing or extra:
            raise LoadError(
                f"the columns differ from those of the input: missing {missing}, more {extra};"
                " all files must have the same columns, or `columns` must choose those that all have"
            )


def _distinct(names: list[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        distinct.append(f"{name}.{count}" if count else name)
    return tuple(distinct)


def _reason(message: str, names: tuple[str, ...]) -> str:
    """pyarrow's message with the column's name, and what to do."""

    def name(match: re.Match[str]) -> str:
        at = int(match.group(1))
        return f"column {names[at]!r}" if at < len(names) else match.group(0)

    message = re.sub(r"In CSV column #(\d+)", name, message)
    if "UTF8" in message:
        return f"{message}; set encoding, to latin-1 perhaps"
    if "conversion error" in message:
        return f"{message}; it was settled from a sample; column_types can declare another"
    return message
