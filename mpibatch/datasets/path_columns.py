"""Columns of a table that its files' paths tell, and columns that are left out.

    path: data/{year}/{shop}.csv  -->  columns year and shop, text unless `column_types` says otherwise
    path_column: file             -->  column file, the whole path
    drop_columns: [a]             -->  no column a

    the format's own dataset --decode--> Arrow table of the file's columns --> wider, or narrower --> DataFrame

A column that the files have is theirs: a key of the same name adds none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mpibatch.arrow import parse_type
from mpibatch.config.problems import suggest
from mpibatch.config.schema import Input
from mpibatch.datasets.base import FailedItem, FileIdentity, LoadError
from mpibatch.datasets.paths import key_pattern
from mpibatch.datasets.table_base import FrameBatch
from mpibatch.errors import InputError
from mpibatch.types import Map, Split


def of_files(spec: Input, keys: Sequence[str]) -> Input:
    """The input as its format reads it: without what paths tell."""
    told = {*keys, spec.path_column}
    types = {name: kind for name, kind in spec.column_types.items() if name not in told}
    columns = tuple(name for name in spec.columns if name not in told)
    return replace(spec, columns=columns, column_types=types, drop_columns=(), path_column=None)


class PathColumnsDataset:
    """One input of a table format.

    base: the input as its format reads it. Of it this uses what a Dataset has, and `schema`,
          `decode(payload)`: an Arrow table in the settled types; `path_of(payload)`
    keys: names in the paths
    """

    reads_data = True

    def __init__(self, spec: Input, base: Any, keys: tuple[str, ...]) -> None:
        self._spec = spec
        self._base = base
        self._keys = keys
        self._patterns = [key_pattern(path) for path in spec.paths if "{" in path]

    # Planning

    @property
    def warnings(self) -> Sequence[str]:
        return tuple(self._base.warnings)

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        yield from self._base.plan(parallel_map)
        if self._base.schema is None:
            return
        there = [field.name for field in self._all_fields()]
        for name in self._spec.drop_columns:
            if name not in there:
                raise InputError(f"input {self._spec.name!r}: drop_columns names {name!r}; {suggest(name, there)}")

    def dump_state(self) -> bytes:
        state: bytes = self._base.dump_state()
        return state

    def load_state(self, state: bytes) -> None:
        self._base.load_state(state)

    # Loading

    @property
    def schema(self) -> Any:
        """The settled schema, None before it is."""
        import pyarrow as pa

        if self._base.schema is None:
            return None
        fields = {field.name: field for field in self._all_fields()}
        wanted = self._spec.columns or tuple(fields)
        return pa.schema([fields[name] for name in wanted if name not in self._spec.drop_columns])

    def _all_fields(self) -> list[Any]:
        fields = list(self._base.schema)
        there = {field.name for field in fields}
        return [*fields, *(field for field in self._told() if field.name not in there)]

    def _told(self) -> Iterator[Any]:
        """The columns that paths tell."""
        import pyarrow as pa

        named = [*self._keys, *([self._spec.path_column] if self._spec.path_column else [])]
        for name in named:
            try:
                yield pa.field(name, parse_type(self._spec.column_types.get(name, "string")))
            except ValueError as error:
                raise InputError(f"input {self._spec.name!r}: column_types, {name!r}: {error}") from error

    def decode(self, payload: bytes) -> Any:
        """A slice as an Arrow table in the settled types. Raises LoadError."""
        import pyarrow as pa

        table = self._base.decode(payload)
        path = self.path_of(payload)
        values = self._values(path)
        for field in self._told():
            if field.name in table.column_names:
                continue
            try:
                column = pa.repeat(pa.scalar(values.get(field.name), pa.string()), table.num_rows).cast(field.type)
            except pa.ArrowException as error:
                raise LoadError(f"{path}: {field.name} is {values.get(field.name)!r}: {error}") from error
            table = table.append_column(field, column)
        return table if self.schema is None else table.select(self.schema.names)

    def _values(self, path: str) -> dict[str, str]:
        """What a path tells. A file that `**` or a list names beside the keys tells less."""
        found = {self._spec.path_column: path} if self._spec.path_column else {}
        for pattern in self._patterns:
            if (match := pattern.match(path)) is not None:
                return {**match.groupdict(), **found}
        return found

    def path_of(self, payload: bytes) -> str:
        path: str = self._base.path_of(payload)
        return path

    def load(self, payload: bytes) -> FrameBatch:
        from mpibatch.datasets.schemas import to_pandas

        table = self.decode(payload)
        return FrameBatch(to_pandas(table, self.schema or table.schema))

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        return list(self._base.planned_files(payload))

    def accept_changes(self) -> None:
        self._base.accept_changes()

    # Failures

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        return list(self._base.failed_items(payload, lost, items))

    def locate_items(self, payload: bytes, lost: list[int], items: int) -> list[FailedItem]:
        return list(self._base.locate_items(payload, lost, items))

    def count_items(self, payload: bytes) -> int:
        return int(self._base.count_items(payload))
