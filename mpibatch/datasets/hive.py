"""Columns that are written in folder names, as Hive, Spark and pandas do: `y=2020/m=01/part.parquet`.

    plan:  paths --fields--> columns that every file has          load:  a table, its path --with_columns--> wider table

A column whose values are all whole numbers, without leading zeros, is int64; any other is text.
"""

import re
from collections.abc import Iterable, Set
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from mpibatch.datasets.schemas import FOLDER, settle

_NULL = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")


def folder_values(path: str, root: str) -> dict[str, str | None]:
    """Names and values of the folders `name=value` between the input's root and the file."""
    folders = path.removeprefix(root.rstrip("/") + "/").split("/")[:-1]
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder.strip("="))
    return {unquote(pair[0]): None if pair[1] == _NULL else unquote(pair[1]) for pair in pairs}


def fields(paths: Iterable[str], root: str, taken: Set[str]) -> list[Any]:
    """The columns that the folders of every file name, but for those `taken`, with types that hold all their values."""
    seen: dict[str, set[str | None]] | None = None
    for path in paths:
        values = folder_values(path, root)
        if seen is None:
            seen = {name: set() for name in values}
        if seen.keys() != values.keys() or not seen:
            return []
        for name, value in values.items():
            seen[name].add(value)
    return [_field(name, values) for name, values in (seen or {}).items() if name not in taken]


def _field(name: str, values: set[str | None]) -> Any:
    whole = all(value is None or _WHOLE.fullmatch(value) for value in values) and values != {None}
    return pa.field(name, pa.int64() if whole else pa.string(), None in values, {FOLDER: b""})


def of_files(schema: Any) -> Any:
    """The columns that are in the files."""
    return pa.schema([field for field in schema if FOLDER not in (field.metadata or {})])


def with_columns(table: Any, path: str, root: str, schema: Any) -> Any:
    """The table with the columns of `schema` that are in its path, in its order and types. Raises LoadError."""
    if len(of_files(schema)) == len(schema):
        return table
    values = folder_values(path, root)
    for field in schema:
        if FOLDER in (field.metadata or {}):
            filled = pa.repeat(pa.scalar(values.get(field.name), pa.string()), table.num_rows)
            table = table.append_column(field.name, filled)
    return settle(table, schema)
