"""`partition_keys`: one mini-batch per combination of key values that exists.

    files   the path is a pattern, data/{user}/{genre}/*.wav; a key in it that is not asked for is a wildcard
    tables  keys are columns. Plan reads every block (a slice of the format's own plan; spread by `parallel_map`), for
            the key values in it and their numbers of rows; a mini-batch is a key and the blocks that have it

Mini-batches are ordered by their key values, column after column as partition_keys names them: numbers by
size, text by code point (files: bytewise), missing values last. Rows keep their order; key columns stay in
the DataFrame.

Loading a table's mini-batch reads its blocks and keeps the rows of the key; an executor keeps the blocks read
last, up to KEEP bytes. Where rows of a key are scattered over a large input each mini-batch reads most of it:
sort such an input by key.
"""

import json
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mpibatch.config.schema import Input
from mpibatch.datasets.base import FailedItem, FileIdentity, LoadError
from mpibatch.datasets.files import FileDataset
from mpibatch.datasets.paths import find, key_pattern
from mpibatch.errors import InputError
from mpibatch.types import UNKNOWN, Map, Split

CACHE_BYTES = 1 << 26  # bytes of decoded blocks that an executor keeps
_BLOCK, _ROWS = "\0block", "\0rows"  # columns beside the keys
_KEY_HEADER = struct.Struct("<II")  # bytes of the key, number of blocks


class PartitionedFileDataset(FileDataset):
    """Files by the keys in their paths."""

    def __init__(self, spec: Input, keys: tuple[str, ...]) -> None:
        super().__init__(spec, None)
        self._keys = keys

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        groups: dict[tuple[bytes, ...], list[bytes]] = {}
        for values, file in self._keyed():
            groups.setdefault(values, []).append(file)
        for values in sorted(groups):
            files = groups.pop(values)
            named = dict(zip(self._keys, (os.fsdecode(value) for value in values), strict=True))
            yield Split(self.pack(files), len(files), json.dumps(named))

    def _keyed(self) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
        """Key values and path of each file."""
        spec = self._spec
        if spec.manifest is not None:
            raise InputError(f"input {spec.name!r}: partition_keys need a path with {{key}} in it, not a manifest")
        for path in spec.paths:
            pattern = key_pattern(path)
            if missing := [key for key in self._keys if key not in pattern.groupindex]:
                raise InputError(
                    f"input {spec.name!r}: {path!r} does not tell the partition keys {missing}; it names"
                    f" {list(pattern.groupindex)}. Write them as {{key}}, such as data/{{{missing[0]}}}/*.png"
                )
            for file in find(replace(spec, paths=(path,))):
                match = pattern.match(os.fsdecode(file))
                if match is None:
                    raise InputError(f"input {spec.name!r}: {os.fsdecode(file)!r} does not tell the keys of {path!r}")
                yield tuple(os.fsencode(match.group(key)) for key in self._keys), file


class PartitionedTableDataset:
    """A table input by the values of some of its columns.

    base: the input by blocks. Of it this uses what a Dataset has, and
          `decode(payload)`: an Arrow table in the settled types; `path_of(payload)`
    """

    reads_data = True

    def __init__(self, spec: Input, base: Any, keys: tuple[str, ...]) -> None:
        self._spec = spec
        self._base = base
        self._keys = keys
        self._blocks: list[bytes] = []
        self._cache: OrderedDict[bytes, Any] = OrderedDict()

    # Planning

    @property
    def warnings(self) -> Sequence[str]:
        return tuple(self._base.warnings)

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        import numpy
        import pyarrow as pa

        self._blocks = [block.payload for block in self._base.plan(parallel_map)]
        self._check_keys()
        counted, unreadable = [], []
        for number, counts in enumerate(parallel_map(self.count_keys, self._blocks)):
            if counts is None:
                unreadable.append(number)
                continue
            table = pa.ipc.open_stream(counts).read_all()
            counted.append(table.append_column(_BLOCK, pa.array([number] * len(table), pa.int64())))
        for key, found in self._groups(counted):
            blocks = numpy.array(found, dtype="<u4")
            packed = key.serialize().to_pybytes()
            named = json.dumps(key.to_pylist()[0], default=_text)
            payload = _KEY_HEADER.pack(len(packed), len(blocks)) + packed + blocks.tobytes()
            yield Split(payload, int(blocks[:, 1].sum()), named)
        for number in unreadable:  # last, each to fail with its reason
            yield Split(_KEY_HEADER.pack(0, 1) + struct.pack("<II", number, 0))

    def _groups(self, counted: list[Any]) -> Iterator[tuple[Any, list[tuple[int, int]]]]:
        """Each key, a batch of one row, with its blocks and rows in them; in order. Arrow alone compares keys."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not counted:
            return
        table = pa.concat_tables(counted)
        groups = table.group_by(list(self._keys), use_threads=False).aggregate([(_BLOCK, "list"), (_ROWS, "list")])
        groups = groups.take(pc.sort_indices(groups, [(key, "ascending") for key in self._keys])).combine_chunks()
        if sum(len(found) for found in groups.column(f"{_BLOCK}_list").to_pylist()) != len(table):
            raise InputError(f"input {self._spec.name!r}: the rows of the keys {list(self._keys)} do not add up")
        for batch in groups.to_batches(max_chunksize=1):
            blocks = zip(
                batch.column(f"{_BLOCK}_list")[0].as_py(), batch.column(f"{_ROWS}_list")[0].as_py(), strict=True
            )
            yield batch.select(list(self._keys)), sorted(blocks)

    def _check_keys(self) -> None:
        import pyarrow as pa

        schema = self._base.schema
        if schema is None:  # no rows at all, or none that can be read
            return
        if missing := [key for key in self._keys if key not in schema.names]:
            names = f"there are {schema.names}"
            raise InputError(f"input {self._spec.name!r}: partition_keys {missing} are no columns; {names}")
        for key in self._keys:
            kind = schema.field(key).type
            if pa.types.is_nested(kind) or pa.types.is_null(kind) or not _has_groups(kind):
                raise InputError(
                    f"input {self._spec.name!r}: the partition key {key!r} is of type {kind}, which has no single"
                    " values to compare; choose another column, or declare it: column_types"
                )

    def count_keys(self, block: bytes) -> bytes | None:
        """The key values in a block and their numbers of rows, as an IPC stream; None if it cannot be read."""
        import pyarrow as pa

        try:
            table = self._base.decode(block)
        except LoadError:
            return None
        columns = [_comparable(table.column(key)) for key in self._keys]
        keys = pa.table(columns, names=list(self._keys))
        counted = keys.group_by(list(self._keys), use_threads=False).aggregate([([], "count_all")])
        counted = counted.select([*self._keys, "count_all"]).rename_columns([*self._keys, _ROWS])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, counted.schema) as writer:
            writer.write_table(counted)
        return bytes(sink.getvalue())

    def dump_state(self) -> bytes:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        table = pa.table({"block": pa.array([self._base.dump_state(), *self._blocks], pa.large_binary())})
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    def load_state(self, state: bytes) -> None:
        if not state:
            return

        import pyarrow as pa

        with pa.ipc.open_stream(state) as reader:
            base, *self._blocks = reader.read_all().column("block").to_pylist()
        self._base.load_state(base)

    # Loading

    def load(self, payload: bytes) -> Any:
        import pyarrow as pa

        from mpibatch.datasets.schemas import to_pandas
        from mpibatch.datasets.table_base import FrameBatch

        key, blocks = self._unpack(payload)
        if not key:
            return self._base.load(self._blocks[blocks[0][0]])
        wanted = pa.ipc.read_record_batch(pa.py_buffer(key), self._key_schema())
        tables = []
        for number, rows in blocks:
            table = _matching(self._decode(self._blocks[number]), wanted)
            if len(table) != rows:
                path = self._base.path_of(self._blocks[number])
                raise LoadError(
                    f"{path}: {len(table)} rows have this key, but {rows} when it was planned; was it changed?"
                )
            tables.append(table)
        return FrameBatch(to_pandas(pa.concat_tables(tables), self._base.schema))

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        _, blocks = self._unpack(payload)
        return [file for number, _ in blocks for file in self._base.planned_files(self._blocks[number])]

    def accept_changes(self) -> None:
        self._base.accept_changes()

    def _decode(self, block: bytes) -> Any:
        table = self._cache.pop(block, None)
        if table is None:
            table = self._base.decode(block)
        self._cache[block] = table
        while sum(kept.nbytes for kept in self._cache.values()) > CACHE_BYTES:
            self._cache.popitem(last=False)
        return table

    def _key_schema(self) -> Any:
        import pyarrow as pa

        kinds = [_comparable(pa.nulls(0, self._base.schema.field(key).type)).type for key in self._keys]
        return pa.schema(list(zip(self._keys, kinds, strict=True)))

    def _unpack(self, payload: bytes) -> tuple[bytes, list[tuple[int, int]]]:
        """The key and, for each block, its number and its rows of this key."""
        length, count = _KEY_HEADER.unpack_from(payload)
        first = _KEY_HEADER.size + length
        return payload[_KEY_HEADER.size : first], list(struct.iter_unpack("<II", payload[first : first + 8 * count]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": OrderedDict(), "_blocks": []}

    # Failures

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        """Rows of a key are scattered: only file and number can be told."""
        key, blocks = self._unpack(payload)
        if not key:
            return list(self._base.failed_items(self._blocks[blocks[0][0]], lost, items))
        counts: dict[str, int] = {}
        first = 0
        for number, rows in blocks:
            path = self._base.path_of(self._blocks[number])
            here = rows if lost is None else sum(first <= at < first + rows for at in lost)
            counts[path] = counts.get(path, 0) + here
            first += rows
        return [FailedItem(path, count=count) for path, count in counts.items() if count]

    def locate_items(self, payload: bytes, lost: list[int], items: int) -> list[FailedItem]:
        key, blocks = self._unpack(payload)
        if key:
            return self.failed_items(payload, lost, items)
        return list(self._base.locate_items(self._blocks[blocks[0][0]], lost, items))

    def count_items(self, payload: bytes) -> int:
        key, blocks = self._unpack(payload)
        if not key:
            return int(self._base.count_items(self._blocks[blocks[0][0]]))
        return sum(rows for _, rows in blocks) or UNKNOWN


def _has_groups(kind: Any) -> bool:
    """Whether Arrow groups and sorts values of this type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        table = pa.table({"key": _comparable(pa.nulls(1, kind))})
        pc.sort_indices(table.group_by("key").aggregate([]), [("key", "ascending")])
    except pa.ArrowException:
        return False
    return True


def _comparable(column: Any) -> Any:
    """Key values so that equal ones are one key: NaN is null, and -0.0 is 0.0; an extension type is what it stores."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column.type, pa.BaseExtensionType):
        return column.cast(column.type.storage_type)
    if not pa.types.is_floating(column.type):
        return column
    zero = pa.scalar(0, column.type)
    column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return pc.if_else(pc.equal(column, zero), zero, column)


def _matching(table: Any, key: Any) -> Any:
    """The rows of a block that have the values of `key`, a batch of one row."""
    import pyarrow.compute as pc

    mask = None
    for name in key.schema.names:
        value, column = key.column(name)[0], _comparable(table.column(name))
        here = pc.equal(column, value) if value.is_valid else pc.is_null(column)
        mask = here if mask is None else pc.and_kleene(mask, here)
    return table.filter(mask)


def _text(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
