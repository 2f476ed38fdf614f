"""The plan: every mini-batch of a run, in order, fixed before the first is granted; kept as plan.parquet.

    datasets --Slice, Slice, ...--> Plan.build --> record batches of CHUNK rows --> plan.parquet
                                        |
                                        +--> descriptors(first, count) for grants

A million mini-batches are a million rows in Arrow memory, not a million Python objects.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mpibatch.datasets.base import Dataset
from mpibatch.errors import RunDirectoryError
from mpibatch.runs.arrow import numbers, texts, to_numpy
from mpibatch.runs.directory import cannot_write
from mpibatch.types import UNKNOWN, Map, MiniBatch, MiniBatches, Slice

CHUNK = 16384
FROZEN = b"mpibatch.frozen"
SCHEMA = pa.schema(
    [
        ("dataset", pa.int16()),
        ("item_offset", pa.int64()),
        ("items", pa.int64()),
        ("key", pa.string()),
        ("payload", pa.large_binary()),
    ]
)


class Plan:
    """All mini-batches.

    chunks: record batches of CHUNK rows each, the last one maybe shorter
    frozen: what each dataset found out while it planned, for Dataset.thaw
    warnings: what it has found that a run lives with; empty for a plan that was read back
    """

    def __init__(self, chunks: list[pa.RecordBatch], frozen: tuple[bytes, ...], warnings: tuple[str, ...] = ()) -> None:
        self._chunks = chunks
        self.frozen = frozen
        self.warnings = warnings
        self.total = sum(chunk.num_rows for chunk in chunks)

    @staticmethod
    def build(datasets: Sequence[Dataset], map: Map[object, object]) -> "Plan":
        """Plans every input by itself, in their order. Raises InputError."""
        slices = ((place, slice) for place, dataset in enumerate(datasets) for slice in dataset.plan(map))
        with _heard() as warnings:
            chunks = list(_chunks(slices))
        return Plan(chunks, tuple(dataset.freeze() for dataset in datasets), tuple(warnings))

    @staticmethod
    def read(path: Path) -> "Plan":
        """The plan of a run to go on with. Raises RunDirectoryError."""
        try:
            with path.open("rb") as file:  # pyarrow opens no path that is not UTF-8
                # A thread of pyarrow that still held `file` when the process ends would abort it
                # ("terminate called without an active exception")
                table = pq.read_table(file, use_threads=False, pre_buffer=False)
            metadata = table.schema.metadata or {}
            frozen = json.loads(metadata[FROZEN])
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise RunDirectoryError(f"cannot read the plan {path}: {error}") from error
        batches = table.select(SCHEMA.names).combine_chunks().to_batches(max_chunksize=CHUNK)
        return Plan(batches, tuple(bytes.fromhex(text) for text in frozen))

    def write(self, path: Path) -> None:
        """Atomically. Raises RunDirectoryError."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        frozen = json.dumps([data.hex() for data in self.frozen]).encode()
        try:
            schema = SCHEMA.with_metadata({FROZEN: frozen})
            with temporary.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
                for chunk in self._chunks:
                    writer.write_batch(chunk)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise cannot_write(path, error) from error

    @property
    def items(self) -> int:
        """All items, UNKNOWN where a mini-batch's are."""
        total = 0
        for chunk in self._chunks:
            items = to_numpy(chunk.column("items"), np.int64)
            if len(items) and items.min() < 0:
                return UNKNOWN
            total += int(items.sum())
        return total

    def smallest_and_largest(self) -> tuple[int, int]:
        """Items of the smallest and of the largest mini-batch; UNKNOWN where that of any is. The plan is not empty."""
        sizes = [to_numpy(chunk.column("items"), np.int64) for chunk in self._chunks]
        smallest = min(int(size.min()) for size in sizes)
        return (UNKNOWN, UNKNOWN) if smallest < 0 else (smallest, max(int(size.max()) for size in sizes))

    def descriptors(self, first: int, count: int) -> MiniBatches:
        """Mini-batches [first, first + count) as columns."""
        columns: list[list[object]] = [[] for _ in SCHEMA.names]
        for chunk in self._slices(first, count):
            for place, array in enumerate(chunk.columns):
                columns[place] += array.to_pylist()
        return MiniBatches(first, *columns)  # type: ignore[arg-type]  # the schema says what they are

    def mini_batch(self, index: int) -> MiniBatch:
        return next(iter(self.descriptors(index, 1)))

    def _slices(self, first: int, count: int) -> Iterator[pa.RecordBatch]:
        last = first + count
        while first < last:
            chunk, start = divmod(first, CHUNK)
            batch = self._chunks[chunk].slice(start, last - first)
            yield batch
            first += batch.num_rows


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What datasets log as warnings while it lasts."""
    heard: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("mpibatch")
    logger.addHandler(handler)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)


def _chunks(slices: Iterable[tuple[int, Slice]]) -> Iterator[pa.RecordBatch]:
    rows: list[tuple[int, int, int, str, bytes]] = []
    input_now, offset = 0, 0
    for place, slice in slices:
        if place != input_now:
            input_now, offset = place, 0
        rows.append((place, offset, slice.items, slice.key, slice.payload))
        offset = UNKNOWN if UNKNOWN in (offset, slice.items) else offset + slice.items
        if len(rows) == CHUNK:
            yield _batch(rows)
            rows.clear()
    if rows:
        yield _batch(rows)


def _batch(rows: list[tuple[int, int, int, str, bytes]]) -> pa.RecordBatch:
    datasets, offsets, items, keys, payloads = zip(*rows, strict=True)
    columns = [
        numbers(np.array(datasets, dtype=np.int16)),
        numbers(np.array(offsets, dtype=np.int64)),
        numbers(np.array(items, dtype=np.int64)),
        texts([key.encode() for key in keys], pa.string()),
        texts(payloads, pa.large_binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
