"""Output formats by the suffix of `append_row_file_name`: .csv, .tsv, .jsonl, .parquet; all else is text."""

import os
from dataclasses import replace
from typing import Any

from mpibatch.config.schema import OutputAction, RowFormat
from mpibatch.output.base import Encoded, Encoder, Finalizer, Stream
from mpibatch.output.returned import count

__all__ = ["open_encoder", "open_writer"]


class Counter:
    """`summary_only`: rows are counted, and go nowhere."""

    def encode(self, returned: Any) -> Encoded:
        return Encoded(count(returned), b"")

    def join(self, parts: list[Encoded]) -> Encoded:
        return Encoded(sum(part.rows for part in parts), b"")


def open_encoder(file_name: str, fmt: RowFormat, action: OutputAction = OutputAction.APPEND_ROW) -> Encoder:
    """The executor's half of the output."""
    if action is OutputAction.SUMMARY_ONLY:
        return Counter()
    suffix, fmt = _chosen(file_name, fmt)
    if suffix == ".csv":
        from mpibatch.output.csv import CsvEncoder

        return CsvEncoder(fmt)
    if suffix == ".jsonl":
        from mpibatch.output.jsonl import JsonlEncoder

        return JsonlEncoder(fmt)
    if suffix == ".parquet":
        from mpibatch.output.parquet import ParquetEncoder

        return ParquetEncoder(fmt)
    from mpibatch.output.text import TextEncoder

    return TextEncoder()


def open_writer(file_name: str, fmt: RowFormat) -> Stream | Finalizer:
    """Rank 0's half: a Finalizer for .parquet, else a Stream."""
    suffix, fmt = _chosen(file_name, fmt)
    if suffix == ".csv":
        from mpibatch.output.csv import CsvStream

        return CsvStream(fmt)
    if suffix == ".jsonl":
        from mpibatch.output.jsonl import JsonlStream

        return JsonlStream()
    if suffix == ".parquet":
        from mpibatch.output.parquet import ParquetFinalizer

        return ParquetFinalizer(fmt)
    from mpibatch.output.text import TextStream

    return TextStream()


def _chosen(file_name: str, fmt: RowFormat) -> tuple[str, RowFormat]:
    suffix = os.path.splitext(file_name)[1].lower()
    if suffix == ".tsv":
        return ".csv", replace(fmt, sep="\t") if fmt.sep == "," else fmt
    return suffix, fmt
