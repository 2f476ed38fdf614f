"""HDF5: datasets of equal first dimension, sliced by rows; the script gets a dict of NumPy arrays.

Keys are the paths of `datasets` as the job file writes them (`images`, `run1/labels`); without `datasets` all
datasets of the file that have a dimension. Strings come as Python strings in object arrays.

A mini-batch is one chunk's rows by default (the longest chunk among the datasets; about CONTIGUOUS bytes
where they are stored whole). N rows are rounded down to whole chunks, or restart at each chunk where they are
less than one, so that no chunk is decompressed for two mini-batches that are far from each other.

Files are opened read-only and without HDF5's file locks, which fail on many parallel file systems and would
keep other programs from the file; the one read last stays open, with a chunk cache of CACHE bytes per
dataset.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py

from mpibatch.config.schema import Input, Size, Unit
from mpibatch.datasets.base import FailedItem, LoadError
from mpibatch.datasets.lines import Place
from mpibatch.datasets.sources import data_files, is_url
from mpibatch.datasets.tables import Payloads, Span, lost_rows
from mpibatch.errors import InputError
from mpibatch.types import UNKNOWN, Map, Slice

CONTIGUOUS = 1 << 23  # bytes of a mini-batch of datasets without chunks
CACHE = 1 << 26

UNREADABLE = 1  # flag of a span: the file could not be read while planning


class Arrays:
    """A mini-batch: arrays of equal first dimension by name."""

    __slots__ = ("value",)

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    @property
    def items(self) -> int:
        return len(next(iter(self.value.values())))

    def part(self, first: int, last: int) -> "Arrays":
        return Arrays({name: array[first:last] for name, array in self.value.items()})


@dataclass(frozen=True, slots=True)
class Shape:
    """What planning needs of one file.

    rows:  the first dimension of all datasets
    chunk: rows that are read together at the least
    fault: why the file cannot be used, else ""
    """

    names: tuple[str, ...] = ()
    rows: int = UNKNOWN
    chunk: int = 1
    fault: str = ""


class Hdf5:
    """One input of type hdf5."""

    reads_data = True

    def __init__(self, spec: Input, size: Size | None) -> None:
        if size is not None and size.unit is not Unit.ROWS:
            raise InputError(f"input {spec.name!r}: mini_batch_size of hdf5 is in rows, such as '1000 rows'")
        if any(is_url(path) for path in spec.paths):
            raise InputError(f"input {spec.name!r}: hdf5 files are read from file systems, not from URLs")
        self._spec = spec
        self._rows = size.value if size else None
        self._payloads = Payloads(spec)
        self._names = spec.datasets
        self._open: tuple[str, Any] | None = None

    # Planning

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        paths = list(data_files(self._spec))
        usable, fault = False, ""
        self._names = self._spec.datasets or self._first_names(paths)
        for path, shape in zip(paths, map(self.look, paths), strict=True):
            if shape.fault:
                fault = fault or f"{path}: {shape.fault}"
                yield Slice(self._payloads.pack(Span(path, 0, 0, UNREADABLE)))
                continue
            usable = True
            for first, last in _cuts(shape.rows, shape.chunk, self._rows):
                yield Slice(self._payloads.pack(Span(path, first, last)), last - first)
        if not usable:
            raise InputError(f"input {self._spec.name!r}: no file can be read; the first one: {fault}")

    def _first_names(self, paths: list[str]) -> tuple[str, ...]:
        shapes = (self.look(path) for path in paths)
        return next((shape.names for shape in shapes if not shape.fault), ())

    def look(self, path: str) -> Shape:
        """The shape of one file, or what is wrong with it."""
        try:
            with _opened(path) as file:
                return _shape(file, self._names)
        except (OSError, LoadError) as error:
            return Shape(fault=str(error))

    def freeze(self) -> bytes:
        return "\0".join(self._names).encode()

    def thaw(self, frozen: bytes) -> None:
        if frozen:
            self._names = tuple(frozen.decode().split("\0"))

    # Loading

    def load(self, payload: bytes) -> Arrays:
        span = self._payloads.unpack(payload)
        with Place(span, "rows"):
            file = self._file(span.path)
            shape = _shape(file, self._names)
            last = shape.rows if span.flags & UNREADABLE else span.last
            if last > shape.rows:
                raise LoadError(f"the file has {shape.rows} rows; was it changed since the plan was made?")
            return Arrays({name: _read(file[name], span.first, last) for name in shape.names})

    def _file(self, path: str) -> Any:
        if self._open is None or self._open[0] != path:
            if self._open is not None:
                self._open[1].close()
                self._open = None
            self._open = path, _opened(path)
        return self._open[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    # Failures

    def describe(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        span = self._payloads.unpack(payload)
        if span.flags & UNREADABLE and lost is None:
            return [FailedItem(span.path, count=items)]
        return lost_rows(span.path, span.first, lost, items)

    def count(self, payload: bytes) -> int:
        span = self._payloads.unpack(payload)
        return UNKNOWN if span.flags & UNREADABLE else span.last - span.first


def _opened(path: str) -> Any:
    return h5py.File(os.fsencode(path), "r", locking=False, rdcc_nbytes=CACHE)


def _shape(file: Any, names: tuple[str, ...]) -> Shape:
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
    return Shape(names, next(iter(rows.values())), chunk or max(CONTIGUOUS // max(row_bytes, 1), 1))


def _all_datasets(file: Any) -> tuple[str, ...]:
    names: list[str] = []

    def visit(name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset) and entry.shape:
            names.append(name)

    file.visititems(visit)
    return tuple(names)


def _read(data: Any, first: int, last: int) -> Any:
    return (data.asstr() if h5py.check_string_dtype(data.dtype) else data)[first:last]


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
