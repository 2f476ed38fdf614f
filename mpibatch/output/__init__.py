"""Output formats by the suffix of `append_row_file_name`: .csv, .tsv, .jsonl, .parquet, .arrow; all else is text.

Text formats may be compressed: .csv.gz, .jsonl.zst.
"""

import os
from dataclasses import replace
from typing import Any

from mpibatch.config.choices import OutputAction
from mpibatch.config.schema import RowFormat
from mpibatch.output.base import AppendFormat, Encoded, Encoder, FinalizeFormat
from mpibatch.output.return_values import count_rows

__all__ = ["open_encoder", "open_format"]

COMPRESSED = (".gz", ".zst")


class CountingEncoder:
    """`summary_only`: rows are counted, and go nowhere."""

    def encode(self, returned: Any) -> Encoded:
        return Encoded(count_rows(returned), b"")

    def join(self, parts: list[Encoded]) -> Encoded:
        return Encoded(sum(part.rows for part in parts), b"")


def open_encoder(file_name: str, fmt: RowFormat, action: OutputAction = OutputAction.APPEND_ROW) -> Encoder:
    """The executor's half of the output."""
    if action is OutputAction.SUMMARY_ONLY:
        return CountingEncoder()
    name, suffix = os.path.splitext(file_name)
    if suffix in COMPRESSED:
        from mpibatch.output.compressed import CODECS, CompressedEncoder

        return CompressedEncoder(open_encoder(name, fmt), CODECS[suffix])
    suffix, fmt = _chosen(file_name, fmt)
    if suffix == ".csv":
        from mpibatch.output.csv import CsvEncoder

        return CsvEncoder(fmt)
    if suffix == ".jsonl":
        from mpibatch.output.jsonl import JsonlEncoder

        return JsonlEncoder(fmt)
    if suffix in (".parquet", ".arrow"):
        from mpibatch.output.columnar import ColumnarEncoder

        return ColumnarEncoder(fmt)
    from mpibatch.output.text import TextEncoder

    return TextEncoder()


def open_format(file_name: str, fmt: RowFormat) -> AppendFormat | FinalizeFormat:
    """Rank 0's half: a GroupFormat for .parquet, a FinalizeFormat for .arrow, else an AppendFormat."""
    name, suffix = os.path.splitext(file_name)
    if suffix in COMPRESSED:
        from mpibatch.output.compressed import CODECS, CompressedFormat

        return CompressedFormat(_append_format(name, fmt), CODECS[suffix])
    if suffix == ".parquet":
        from mpibatch.output.parquet import ParquetFormat

        return ParquetFormat(fmt)
    if suffix == ".arrow":
        from mpibatch.output.arrow_ipc import ArrowFormat

        return ArrowFormat(fmt)
    return _append_format(file_name, fmt)


def _append_format(file_name: str, fmt: RowFormat) -> AppendFormat:
    suffix, fmt = _chosen(file_name, fmt)
    if suffix == ".csv":
        from mpibatch.output.csv import CsvFormat

        return CsvFormat(fmt)
    from mpibatch.output.lines import LineFormat

    return LineFormat()


def _chosen(file_name: str, fmt: RowFormat) -> tuple[str, RowFormat]:
    suffix = os.path.splitext(file_name)[1].lower()
    if suffix == ".tsv":
        return ".csv", replace(fmt, sep="\t") if fmt.sep == "," else fmt
    return suffix, fmt
