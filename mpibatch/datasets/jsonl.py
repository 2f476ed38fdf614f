"""JSON lines: one object a line, read by pyarrow, given to the script as a pandas DataFrame.

A newline inside a string is written `\\n` in JSON, so any newline ends a row and cuts are always right.
Columns are the fields of all sampled rows; a row that lacks one has a null there. A field that no sample had
fails the mini-batch, as its column would exist in some mini-batches only: name it in `column_types`, or
choose `columns`. Lists become NumPy arrays, objects dicts, strings that look like ISO 8601 times datetimes
(column_types: string prevents it).
"""

import codecs
from typing import Any

import pyarrow as pa
import pyarrow.json as arrow_json

from mpibatch.datasets.base import LoadError
from mpibatch.datasets.cuts import Marks
from mpibatch.datasets.lines import Head, Lines
from mpibatch.datasets.tables import Span

_LARGEST = (1 << 31) - 2  # bytes that pyarrow parses at once


class Jsonl(Lines):
    """One input of type jsonl."""

    text_wins = False

    def needs_scan(self, total: int) -> bool:
        return False

    def read_head(self, data: bytes, complete: bool) -> Head | None:
        start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
        while data.startswith((b"\n", b"\r\n"), start):
            start += 1 if data.startswith(b"\n", start) else 2
        return Head(start, None, "utf-8", Marks(quote=b""))

    def parse(self, data: bytes, head: Head, span: Span, schema: Any) -> Any:
        if schema is None:
            return _read(data, arrow_json.ParseOptions())
        if not data.strip():
            return schema.empty_table()
        wanted = pa.schema([field.with_nullable(True) for field in schema])
        others = "ignore" if self._spec.columns else "error"
        return _read(data, arrow_json.ParseOptions(wanted, unexpected_field_behavior=others))

    def infer(self, data: bytes, head: Head) -> Any:
        return _read(data, arrow_json.ParseOptions()) if data.strip() else None


def _read(data: bytes, options: Any) -> Any:
    if len(data) > _LARGEST:
        raise LoadError("more than 2 GB of rows in one mini-batch; split the file, or do not compress it")
    try:
        return arrow_json.read_json(
            pa.BufferReader(data),
            arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            options,
        )
    except pa.ArrowInvalid as error:
        advice = "; name it in column_types" if "unexpected field" in str(error) else ""
        raise LoadError(f"{error}{advice}") from error
