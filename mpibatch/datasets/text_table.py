"""Tables that are text: what CSV and JSON lines share beyond the cutting (text_slices.py), which is their types.

    plan:   samples from all over --infer (map)--> types --merge, resolve_schema--> one schema
    load:   bytes of a span --parse with that schema--> Arrow, columns of folders --> DataFrame

All of an input of up to SAMPLE_ALL bytes is the sample; of a larger one the first SAMPLE bytes of up to SAMPLES slices,
spread over all files. Folders called `y=2020` are columns (see hive.py), unless the rows have columns of that name.
"""

from abc import abstractmethod
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pyarrow as pa

from mpibatch.config.schema import Input
from mpibatch.config.values import Size
from mpibatch.datasets import hive
from mpibatch.datasets.base import LoadError
from mpibatch.datasets.file_io import compression
from mpibatch.datasets.paths import root_of
from mpibatch.datasets.schemas import FOUND, dump_schema, load_schema, merge, nullable_unless_in_all, resolve_schema
from mpibatch.datasets.settled_table import SettledTable
from mpibatch.datasets.table_base import Sampler, Span
from mpibatch.datasets.text_slices import BROKEN, WHOLE, FileHeader, TextSlices
from mpibatch.types import Map, Split

SAMPLE_ALL = 1 << 26  # bytes of an input that is sampled whole
SAMPLE = 1 << 20  # bytes of a sample
SAMPLES = 64


class TextTable(SettledTable, TextSlices):
    """One input of a text format whose rows have columns."""

    text_wins: bool  # a column of several types is text

    @property
    @abstractmethod
    def missing_is_null(self) -> bool:
        """Whether rows may lack a column that others have."""

    def __init__(self, spec: Input, size: Size | None) -> None:
        super().__init__(spec, size)
        self._root = root_of(spec)
        self._schema: Any = None

    @abstractmethod
    def parse(self, data: bytes, header: FileHeader, span: Span, schema: Any) -> Any:
        """An Arrow table of the rows in `data`, by `schema`. Raises LoadError, without naming the place."""

    @abstractmethod
    def infer(self, data: bytes, header: FileHeader) -> Any:
        """The schema (see `schemas.observed`) of as many rows of a sample as can be read; None if there are none."""

    # Planning

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        files = self.list_files()
        total = sum(file.size for file in files)
        samples = Sampler(4096 if total <= SAMPLE_ALL else SAMPLES)
        for file, spans in self.cut_files(files, parallel_map):
            whole = [Span(file.path, 0, file.size, WHOLE, file.identity)]
            for span in whole if total <= SAMPLE_ALL else spans:
                samples.add(span)
            yield from (Split(self._span_codec.pack(span)) for span in spans)
        self._resolve_schema(parallel_map, samples.kept, [file.path for file in files])

    def _resolve_schema(self, parallel_map: Map[Any, Any], samples: list[Span], paths: list[str]) -> None:
        found = []
        for span, schema in zip(samples, parallel_map(self.sample, samples), strict=True):
            if schema:
                found.append(load_schema(schema))
            elif schema is not None and compression(span.path):
                self._empty.add(span.path)
        if found:
            merged = reduce(lambda a, b: merge(a, b, self.text_wins), found)
            if self.missing_is_null:
                merged = pa.schema([nullable_unless_in_all(field, found) for field in merged])
            fields = list(self.common(found[0], merged))
            fields += hive.fields(paths, self._root, {field.name for field in fields})
            self._schema = _filled(resolve_schema(self._spec, pa.schema(fields)))

    def common(self, first: Any, merged: Any) -> Any:
        """The columns of the input, given those of the first sample and those of all."""
        return merged

    def sample(self, span: Span) -> bytes | None:
        """The schema of the first rows of a span, packed; b"" if there are none, None if they cannot be read."""
        try:
            data, header = self._bytes(span, SAMPLE_ALL if span.flags & WHOLE else SAMPLE)
            schema = self.infer(data, header)
        except (OSError, LoadError):
            return None
        if schema is not None and len(schema):
            return dump_schema(schema)
        return b"" if data or header.start else None

    # Loading

    def table(self, span: Span) -> Any:
        """The rows of a span, in the settled types if there are such. Raises LoadError, without naming the place."""
        if span.flags & BROKEN:
            raise LoadError('a quoted field in it never ends (where quotes mean nothing, set quote: "")')
        data, header = self._bytes(span)
        if self._schema is None:
            return self.parse(data, header, span, None)
        table = self.parse(data, header, span, hive.of_files(self._schema))
        return hive.with_columns(table, span.path, self._root, self._schema)


def _filled(schema: Any) -> Any:
    """Columns without any value, or with text that is not UTF-8 (it then fails alone), are strings, unless declared."""
    return pa.schema(
        [
            pa.field(field.name, pa.string())
            if (pa.types.is_null(field.type) or pa.types.is_binary(field.type)) and FOUND not in (field.metadata or {})
            else field
            for field in schema
        ]
    )
