"""HDF5: datasets of equal first dimension, sliced by rows; the script gets a dict of NumPy arrays.

Keys are the paths of `datasets` as the job file writes them (`images`, `run1/labels`); without `datasets` all
datasets of the file that have a dimension. Strings come as Python strings in object arrays; bytes in them that are no
UTF-8 become surrogates, as in file names, so that nothing is lost. `byte_strings` has other ways.

A mini-batch is one chunk's rows by default (the longest chunk among the datasets; about CONTIGUOUS bytes
where they are stored whole). N rows are rounded down to whole chunks, or restart at each chunk where they are
less than one, so that no chunk is decompressed for two mini-batches that are far from each other.

Files are opened read-only and without HDF5's file locks, which fail on many parallel file systems and would
keep other programs from the file; the one read last stays open, with a chunk cache of CACHE bytes per
dataset.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import h5py

from mpibatch.config.choices import ByteStrings
from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets.base import FileIdentity, LoadError
from mpibatch.datasets.file_identity import identity_of, unchanged
from mpibatch.datasets.file_io import data_files, is_url
from mpibatch.datasets.table_base import UNREADABLE, EmptyFiles, LoadErrorContext, NumberedRows, Span, SpanCodec
from mpibatch.errors import InputError
from mpibatch.types import UNKNOWN, Map, Split

CONTIGUOUS = 1 << 23  # bytes of a mini-batch of datasets without chunks
CACHE = 1 << 26


class ArrayBatch:
    """A mini-batch: arrays of equal first dimension by name."""

    __slots__ = ("value",)

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    @property
    def items(self) -> int:
        return len(next(iter(self.value.values())))

    def slice(self, first: int, last: int) -> "ArrayBatch":
        return ArrayBatch({name: array[first:last] for name, array in self.value.items()})


@dataclass(frozen=True, slots=True)
class FileLayout:
    """What planning needs of one file.

    rows:  the first dimension of all datasets
    chunk: rows that are read together at the least
    error: why the file cannot be used, else ""
    planned: what the file was before it was opened
    """

    names: tuple[str, ...] = ()
    rows: int = UNKNOWN
    chunk: int = 1
    error: str = ""
    planned: FileIdentity | None = None


class Hdf5Dataset(NumberedRows):
    """One input of type hdf5."""

    reads_data = True

    def __init__(self, spec: Input, size: Size | None) -> None:
        if size is not None and size.unit is not Unit.ROWS:
            raise InputError(f"input {spec.name!r}: mini_batch_size of hdf5 is in rows, such as '1000 rows'")
        if any(is_url(path) for path in spec.paths):
            raise InputError(f"input {spec.name!r}: hdf5 files are read from file systems, not from URLs")
        self._spec = spec
        self._rows = size.value if size else None
        self._span_codec = SpanCodec(spec)
        self._names = spec.datasets
        self._empty = EmptyFiles(spec)
        self._open: tuple[str, Any] | None = None

    @property
    def warnings(self) -> Sequence[str]:
        return self._empty.warnings

    # Planning

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        paths = list(data_files(self._spec))
        usable, first_error = False, ""
        self._names = self._spec.datasets or self._first_names(paths)
        for path, layout in zip(paths, parallel_map(self.inspect_file, paths), strict=True):
            self._empty.seen(path, has_rows=bool(layout.error) or layout.rows > 0)
            if layout.error:
                first_error = first_error or f"{path}: {layout.error}"
                yield Split(self._span_codec.pack(Span(path, 0, 0, UNREADABLE)))
                continue
            usable = True
            for first, last in _cuts(layout.rows, layout.chunk, self._rows):
                span = Span(path, first, last, planned=layout.planned)
                yield Split(self._span_codec.pack(span), last - first)
        if not usable:
            raise InputError(f"input {self._spec.name!r}: no file can be read; the first one: {first_error}")

    def _first_names(self, paths: list[str]) -> tuple[str, ...]:
        layouts = (self.inspect_file(path) for path in paths)
        return next((layout.names for layout in layouts if not layout.error), ())

    def inspect_file(self, path: str) -> FileLayout:
        """The shape of one file, or what is wrong with it."""
        try:
            planned = identity_of(path)
            with _opened(path) as file:
                return replace(_layout(file, self._names), planned=planned)
        except (OSError, LoadError) as error:
            return FileLayout(error=str(error))

    def dump_state(self) -> bytes:
        return "\0".join(self._names).encode()

    def load_state(self, state: bytes) -> None:
        if state:
            self._names = tuple(state.decode().split("\0"))

    # Loading

    def load(self, payload: bytes) -> ArrayBatch:
        span = self._span_codec.unpack(payload)
        with LoadErrorContext(span, "rows"):
            file = self._file(span.path)
            with unchanged(span.path, span.planned, file.id.get_vfd_handle()):
                layout = _layout(file, self._names)
                last = layout.rows if span.flags & UNREADABLE else span.last
                if last > layout.rows:
                    raise LoadError(f"the file has {layout.rows} rows; was it changed since the plan was made?")
                return ArrayBatch({name: self._read(file[name], span.first, last) for name in layout.names})

    def _read(self, data: Any, first: int, last: int) -> Any:
        wanted = self._spec.byte_strings
        if h5py.check_string_dtype(data.dtype) and wanted is not ByteStrings.BYTES:
            encoding = "utf-8" if wanted is ByteStrings.TEXT else wanted.value
            data = data.asstr(encoding, errors="surrogateescape")
        return data[first:last]

    def _file(self, path: str) -> Any:
        if self._open is None or self._open[0] != path:
            if self._open is not None:
                self._open[1].close()
                self._open = None
            self._open = path, _opened(path)
        return self._open[1]

    def count_items(self, payload: bytes) -> int:
        span = self._span_codec.unpack(payload)
        return UNKNOWN if span.flags & UNREADABLE else span.last - span.first


def _opened(path: str) -> Any:
    return h5py.File(os.fsencode(path), "r", locking=False, rdcc_nbytes=CACHE)


def _layout(file: Any, names: tuple[str, ...]) -> FileLayout:
    """Raises LoadError where datasets are missing or of unequal length."""
    names = names or _all_datasets(file)
    rows, chunk, row_bytes = {}, 0, 0
    for name in names:
        if name not in file or not isinstance(file[name], h5py.Dataset):
            raise LoadError(f"there is no dataset {name!r}; there are {', '.join(_all_datasets(file)) or 'none'}")
        data = file[name]
        if not data.shape:
            raise LoadError(f"the dataset {name!r} has no dimension to slice; choose others with `datasets`")
        rows[name] = data.shape[0]
        chunk = max(chunk, data.chunks[0] if data.chunks else 0)
        row_bytes += data.dtype.itemsize * (data.size // max(data.shape[0], 1))
    if not rows:
        raise LoadError("the file holds no datasets")
    if len(set(rows.values())) > 1:
        raise LoadError(f"datasets differ in length: {rows}; choose those to be sliced with `datasets`")
    return FileLayout(names, next(iter(rows.values())), chunk or max(CONTIGUOUS // max(row_bytes, 1), 1))


def _all_datasets(file: Any) -> tuple[str, ...]:
    names: list[str] = []

    def visit(name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset) and entry.shape:
            names.append(name)

    file.visititems(visit)
    return tuple(names)


def _cuts(rows: int, chunk: int, wanted: int | None) -> Iterator[tuple[int, int]]:
    if wanted is None or wanted >= chunk:
        step = chunk if wanted is None else wanted // chunk * chunk
        for first in range(0, rows, step):
            yield first, min(first + step, rows)
        return
    for start in range(0, rows, chunk):
        end = min(start + chunk, rows)
        for first in range(start, end, wanted):
            yield first, min(first + wanted, end)
