"""The plan: every mini-batch of a run, in order, fixed before the first is granted; kept as plan.parquet.

    datasets --Split, Split, ...--> Plan.build --> record batches of CHUNK rows --> plan.parquet
                                        |
                                        +--> batches(first, count) for grants

A million mini-batches are a million rows in Arrow memory, not a million Python objects.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mpibatch.arrow import numbers, read_parquet, texts, to_numpy
from mpibatch.datasets.base import Dataset
from mpibatch.errors import RunDirectoryError
from mpibatch.files import replacing, write_error
from mpibatch.types import UNKNOWN, Map, MiniBatch, MiniBatchRange, Split

CHUNK = 16384
BLOCK = 64  # mini-batches that are taken out of Arrow's memory together, for grants of few
BLOCKS_KEPT = 8
SCHEMA = pa.schema(
    [
        ("dataset", pa.int32()),
        ("item_offset", pa.int64()),
        ("items", pa.int64()),
        ("key", pa.string()),
        ("payload", pa.large_binary()),
    ]
)


class Plan:
    """All mini-batches.

    chunks: record batches of CHUNK rows each, the last one maybe shorter
    warnings: of the datasets, what they have found that a run lives with; empty for a plan that was read back
    """

    def __init__(self, chunks: list[pa.RecordBatch], warnings: tuple[str, ...] = ()) -> None:
        self._chunks = chunks
        self.warnings = warnings
        self.total = sum(chunk.num_rows for chunk in chunks)
        self._block = lru_cache(BLOCKS_KEPT)(lambda number: self._columns(number * BLOCK, BLOCK))

    @staticmethod
    def build(datasets: Sequence[Dataset], parallel_map: Map[object, object]) -> "Plan":
        """Plans every input by itself, in their order. Raises InputError."""
        splits = ((index, split) for index, dataset in enumerate(datasets) for split in dataset.plan(parallel_map))
        chunks = list(_chunks(splits))
        warnings = [warning for dataset in datasets for warning in dataset.warnings]
        if datasets and not chunks:
            warnings.append("there is nothing to do: the input has no item")
        return Plan(chunks, tuple(warnings))

    @staticmethod
    def read(path: Path) -> "Plan":
        """The plan of a run that is resumed. Raises RunDirectoryError."""
        try:
            batches = read_parquet(path).select(SCHEMA.names).combine_chunks().to_batches(max_chunksize=CHUNK)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise RunDirectoryError(f"cannot read the plan {path}: {error}") from error
        return Plan(batches)

    def write(self, path: Path) -> None:
        """Atomically. Raises RunDirectoryError."""
        try:
            with replacing(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                for chunk in self._chunks:
                    writer.write_batch(chunk)
        except OSError as error:
            raise write_error(path, error) from error

    @cached_property
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

    def batches(self, first: int, count: int) -> MiniBatchRange:
        """Mini-batches [first, first + count) as columns."""
        number, start = divmod(first, BLOCK)
        if start + count <= BLOCK:
            columns = [column[start : start + count] for column in self._block(number)]
        else:
            columns = self._columns(first, count)
        return MiniBatchRange(first, *columns)  # type: ignore[arg-type]  # the schema says what they are

    def _columns(self, first: int, count: int) -> list[list[object]]:
        """Of as many of these as there are."""
        columns: list[list[object]] = [[] for _ in SCHEMA.names]
        for chunk in self._slices(first, min(count, self.total - first)):
            for position, array in enumerate(chunk.columns):
                columns[position] += array.to_pylist()
        return columns

    def mini_batch(self, index: int) -> MiniBatch:
        return next(iter(self.batches(index, 1)))

    def _slices(self, first: int, count: int) -> Iterator[pa.RecordBatch]:
        last = first + count
        while first < last:
            chunk, start = divmod(first, CHUNK)
            batch = self._chunks[chunk].slice(start, last - first)
            yield batch
            first += batch.num_rows


def _chunks(splits: Iterable[tuple[int, Split]]) -> Iterator[pa.RecordBatch]:
    rows: list[tuple[int, int, int, str, bytes]] = []
    input_now, offset = 0, 0
    for index, split in splits:
        if index != input_now:
            input_now, offset = index, 0
        rows.append((index, offset, split.items, split.key, split.payload))
        offset = UNKNOWN if UNKNOWN in (offset, split.items) else offset + split.items
        if len(rows) == CHUNK:
            yield _batch(rows)
            rows.clear()
    if rows:
        yield _batch(rows)


def _batch(rows: list[tuple[int, int, int, str, bytes]]) -> pa.RecordBatch:
    datasets, offsets, items, keys, payloads = zip(*rows, strict=True)
    columns = [
        numbers(np.array(datasets, dtype=np.int32)),
        numbers(np.array(offsets, dtype=np.int64)),
        numbers(np.array(items, dtype=np.int64)),
        texts([key.encode() for key in keys], pa.string()),
        texts(payloads, pa.large_binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
