"""`partition_keys`: one mini-batch per combination of key values that exists.

    files   the path is a pattern, data/{user}/{genre}/*.wav; a key in it that is not asked for is a wildcard
    tables  keys are columns. Plan reads every block (a slice of the format's own plan; spread by `map`), for
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
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mpibatch.config.schema import Input
from mpibatch.datasets.base import FailedItem, LoadError
from mpibatch.datasets.files import Files
from mpibatch.datasets.paths import find, key_pattern
from mpibatch.errors import InputError
from mpibatch.types import UNKNOWN, Map, Slice

KEEP = 1 << 26  # bytes of decoded blocks that an executor keeps
_HEAD = struct.Struct("<II")  # bytes of the key, number of blocks


class PartitionedFiles(Files):
    """Files by the keys in their paths."""

    def __init__(self, spec: Input, keys: tuple[str, ...]) -> None:
        super().__init__(spec, None)
        self._keys = keys

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        groups: dict[tuple[bytes, ...], list[bytes]] = {}
        for values, file in self._keyed():
            groups.setdefault(values, []).append(file)
        for values in sorted(groups):
            files = groups.pop(values)
            named = dict(zip(self._keys, (os.fsdecode(value) for value in values), strict=True))
            yield Slice(b"\0".join(files), len(files), json.dumps(named))

    def _keyed(self) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
        """Key values and path, relative to the root, of each file."""
        spec = self._spec
        if spec.manifest is not None:
            raise InputError(f"input {spec.name!r}: partition_keys need a path with {{key}} in it, not a manifest")
        cut = len(os.fsencode(self._prefix))
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
                yield tuple(os.fsencode(match.group(key)) for key in self._keys), file[cut:]


class PartitionedTable:
    """A table input by the values of some of its columns.

    base: the input by blocks. Of it this uses plan, freeze, thaw, load, count and
          `decode(payload)`: an Arrow table in the settled types; `path_of(payload)`
    """

    reads_data = True

    def __init__(self, spec: Input, base: Any, keys: tuple[str, ...]) -> None:
        self._spec = spec
        self._base = base
        self._keys = keys
        self._blocks: list[bytes] = []
        self._kept: OrderedDict[bytes, Any] = OrderedDict()

    # Planning

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        import numpy
        import pyarrow as pa

        self._blocks = [block.payload for block in self._base.plan(map)]
        self._check_keys()
        groups: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        unreadable: list[int] = []
        for number, counted in enumerate(map(self.count_keys, self._blocks)):
            if counted is None:
                unreadable.append(number)
                continue
            for *values, rows in counted:
                groups.setdefault(tuple(values), []).append((number, rows))
        schema = self._key_schema() if groups else ()
        for values in sorted(groups, key=_order):
            blocks = numpy.array(groups.pop(values), dtype="<u4")
            row = [pa.array([value], field.type) for value, field in zip(values, schema, strict=True)]
            key = pa.RecordBatch.from_arrays(row, schema=schema).serialize().to_pybytes()
            named = json.dumps(dict(zip(self._keys, values, strict=True)), default=_text)
            yield Slice(_HEAD.pack(len(key), len(blocks)) + key + blocks.tobytes(), int(blocks[:, 1].sum()), named)
        for number in unreadable:  # last, each to fail with its reason
            yield Slice(_HEAD.pack(0, 1) + struct.pack("<II", number, 0))

    def _check_keys(self) -> None:
        import pyarrow as pa

        schema = self._base.schema
        if schema is None:  # no rows at all, or none that can be read
            return
        if missing := [key for key in self._keys if key not in schema.names]:
            names = f"there are {schema.names}"
            raise InputError(f"input {self._spec.name!r}: partition_keys {missing} are no columns; {names}")
        for key in self._keys:
            if pa.types.is_nested(schema.field(key).type):
                raise InputError(f"input {self._spec.name!r}: the partition key {key!r} is no single value")

    def count_keys(self, block: bytes) -> list[tuple[Any, ...]] | None:
        """The key values in a block and their numbers of rows; None if it cannot be read."""
        import pyarrow as pa

        try:
            table = self._base.decode(block)
        except LoadError:
            return None
        keys = table.select(self._keys)
        for at, field in enumerate(keys.schema):
            if pa.types.is_floating(field.type):  # NaN would be a key that equals nothing, itself neither
                keys = keys.set_column(at, field.name, _nan_to_null(keys.column(at)))
        counted = keys.group_by(list(self._keys), use_threads=False).aggregate([([], "count_all")])
        columns = [counted.column(name).to_pylist() for name in (*self._keys, "count_all")]
        return list(zip(*columns, strict=True))

    def freeze(self) -> bytes:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        table = pa.table({"block": pa.array([self._base.freeze(), *self._blocks], pa.large_binary())})
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    def thaw(self, frozen: bytes) -> None:
        if not frozen:
            return

        import pyarrow as pa

        with pa.ipc.open_stream(frozen) as reader:
            base, *self._blocks = reader.read_all().column("block").to_pylist()
        self._base.thaw(base)

    # Loading

    def load(self, payload: bytes) -> Any:
        import pyarrow as pa

        from mpibatch.datasets.schemas import to_pandas
        from mpibatch.datasets.tables import Frame

        key, blocks = self._unpack(payload)
        if not key:
            return self._base.load(self._blocks[blocks[0][0]])
        wanted = pa.ipc.read_record_batch(pa.py_buffer(key), self._key_schema())
        tables = [_matching(self._decode(self._blocks[number]), wanted) for number, _ in blocks]
        return Frame(to_pandas(pa.concat_tables(tables), self._base.schema))

    def _decode(self, block: bytes) -> Any:
        table = self._kept.pop(block, None)
        if table is None:
            table = self._base.decode(block)
        self._kept[block] = table
        while sum(kept.nbytes for kept in self._kept.values()) > KEEP:
            self._kept.popitem(last=False)
        return table

    def _key_schema(self) -> Any:
        import pyarrow as pa

        return pa.schema([pa.field(key, self._base.schema.field(key).type) for key in self._keys])

    def _unpack(self, payload: bytes) -> tuple[bytes, list[tuple[int, int]]]:
        """The key and, for each block, its number and its rows of this key."""
        length, count = _HEAD.unpack_from(payload)
        first = _HEAD.size + length
        return payload[_HEAD.size : first], list(struct.iter_unpack("<II", payload[first : first + 8 * count]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict(), "_blocks": []}

    # Failures

    def describe(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        """Rows of a key are scattered: only file and number can be told."""
        key, blocks = self._unpack(payload)
        if not key:
            return list(self._base.describe(self._blocks[blocks[0][0]], lost, items))
        counts: dict[str, int] = {}
        first = 0
        for number, rows in blocks:
            path = self._base.path_of(self._blocks[number])
            here = rows if lost is None else sum(first <= at < first + rows for at in lost)
            counts[path] = counts.get(path, 0) + here
            first += rows
        return [FailedItem(path, count=count) for path, count in counts.items() if count]

    def count(self, payload: bytes) -> int:
        key, blocks = self._unpack(payload)
        if not key:
            return int(self._base.count(self._blocks[blocks[0][0]]))
        return sum(rows for _, rows in blocks) or UNKNOWN


def _nan_to_null(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _matching(table: Any, key: Any) -> Any:
    """The rows of a block that have the values of `key`, a batch of one row."""
    import pyarrow.compute as pc

    mask = None
    for name in key.schema.names:
        value, column = key.column(name)[0], table.column(name)
        here = pc.equal(column, value) if value.is_valid else pc.is_null(column, nan_is_null=True)
        mask = here if mask is None else pc.and_kleene(mask, here)
    return table.filter(mask)


def _order(values: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is None, 0 if value is None else value) for value in values)


def _text(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
