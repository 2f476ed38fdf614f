"""MLTable: a folder with a file `MLTable` that says what its data are and how they are read, as an entry of `inputs:`.

    {type: mltable, path: folder} --folder/MLTable--> {type: csv, path: [...], delimiter: ";", columns: [...], ...}

A table in the output of an earlier step is read when its step begins.
"""

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from mpibatch.config.choices import InputType
from mpibatch.config.document import read_document
from mpibatch.config.partition_format import PATH_COLUMN, with_keys
from mpibatch.config.problems import Problems, format_value
from mpibatch.config.resolve import absolute
from mpibatch.errors import JobFileError, UsageError
from mpibatch.workspace.datastores import is_url

FILE_NAME = "MLTable"
_READERS = {"read_delimited": "csv", "read_parquet": "parquet", "read_json_lines": "jsonl"}
_DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|", "space": " "}
_TYPES = {"string": "string", "int": "int64", "float": "float64", "boolean": "bool", "datetime": "timestamp"}
_ABOUT = {"paths", "transformations", "type", "$schema", "name", "version", "description", "metadata", "tags"}
_READ_OPTIONS = {
    *("delimiter", "encoding", "header", "support_multi_line", "include_path_column"),
    *("infer_column_types", "empty_as_string", "path_column", "partition_size"),
}


@dataclass(slots=True)
class Table:
    """entry: of `inputs:`. left_out: what the file asks for and an input cannot do."""

    entry: dict[str, Any]
    left_out: list[str] = field(default_factory=list)


def read_mltable(folder: str) -> Table:
    """The input that the table in `folder` is. Raises JobFileError and UsageError."""
    file = os.path.join(folder, FILE_NAME)
    if is_url(folder):
        raise UsageError(
            f"the MLTable {folder} is at a URL; copy its file {FILE_NAME} to a local folder, with whole paths"
        )
    if not os.path.isfile(file):
        raise UsageError(f"there is no file {FILE_NAME} in {folder}")
    document = read_document(file)
    paths = [_path(path, folder, file) for path in document.get("paths") or []]
    if not paths:
        raise UsageError(f"{file} names no paths")
    table = Table({"type": "files"}, [key for key in document if key not in _ABOUT and document[key]])
    for operation in document.get("transformations") or []:
        paths = _apply(*_parts(operation), table, paths)
    table.entry["path"] = paths[0] if len(paths) == 1 else paths
    return table


def expand_tables(section: object, folder: str, not_yet: str | None, problems: Problems) -> object:
    """`inputs` with what its MLTables are; those in the folder `not_yet` stay as they are."""
    if not isinstance(section, dict):
        return section
    return {name: _expand(str(name), entry, folder, not_yet, problems) for name, entry in section.items()}


def _expand(name: str, entry: object, folder: str, not_yet: str | None, problems: Problems) -> object:
    if not isinstance(entry, dict) or entry.get("type") != InputType.MLTABLE or entry.keys() != {"type", "path"}:
        return entry  # what is wrong with it is said where the other types are checked
    if not isinstance(entry["path"], str):
        problems.add_invalid(("inputs", name, "path"), entry["path"], f"the folder of a file {FILE_NAME}")
        return entry
    path = entry["path"] if is_url(entry["path"]) else absolute(folder, entry["path"])
    if not_yet is not None and PurePath(path).is_relative_to(not_yet):
        return entry
    key = ("inputs", name)
    try:
        table = read_mltable(path)
    except JobFileError as error:
        problems.add(key, f"is an MLTable that cannot be read: {error}")
        return entry
    except UsageError as error:
        problems.add((*key, "path"), f"is {format_value(entry['path'])}, but {error}")
        return entry
    for what in table.left_out:
        problems.add(key, f"is an MLTable with {what}, which an input cannot do: rows would be others; do it in a step")
    return table.entry


def _apply(name: str, options: Any, table: Table, paths: list[str]) -> list[str]:
    """Puts one transformation into the table's entry; the paths, which it may change."""
    entry = table.entry
    if name in _READERS:
        entry["type"] = _READERS[name]
        table.left_out += [f"{name}: {option}" for option in options if option not in _READ_OPTIONS]
        if name == "read_delimited":
            entry.update(_delimited(options))
        _include_path(options.get("include_path_column"), entry)
    elif name == "keep_columns":
        entry["columns"] = _names(options)
    elif name == "drop_columns":
        entry["drop_columns"] = [*entry.get("drop_columns", []), *_names(options)]
    elif name == "convert_column_types":
        _convert(options, table)
    elif name == "extract_columns_from_partition_format":
        form = options.get("partition_format", "") if isinstance(options, dict) else options
        return [with_keys(path, str(form)) for path in paths]
    elif name == "include_path_column":
        _include_path(options.get("include_path_column", True) if isinstance(options, dict) else options, entry)
    else:
        table.left_out.append(name)
    return paths


def _delimited(options: Mapping[str, Any]) -> dict[str, Any]:
    delimiter = options.get("delimiter", ",")
    found: dict[str, Any] = {"delimiter": _DELIMITERS.get(str(delimiter), delimiter)}
    if "encoding" in options:
        found["encoding"] = {"utf8": "utf-8"}.get(options["encoding"], options["encoding"])
    if options.get("header") in ("no_header", False):
        found["has_header"] = False
    if options.get("support_multi_line"):
        found["quoted_newlines"] = True
    return found


def _convert(options: Any, table: Table) -> None:
    for entry in options if isinstance(options, list) else [options]:
        kind = entry.get("column_type") if isinstance(entry, dict) else None
        word = next(iter(kind), "") if isinstance(kind, dict) else str(kind)
        if word not in _TYPES:
            table.left_out.append(f"convert_column_types to {word}")
            continue
        types = table.entry.setdefault("column_types", {})
        types.update(dict.fromkeys(_names(entry.get("columns", [])), _TYPES[word]))


def _include_path(value: object, entry: dict[str, Any]) -> None:
    if value in (True, "true", "True"):
        entry["path_column"] = PATH_COLUMN


def _names(options: Any) -> list[str]:
    listed = options.get("columns", []) if isinstance(options, dict) else options
    return [listed] if isinstance(listed, str) else [str(name) for name in listed]


def _path(entry: object, folder: str, file: str) -> str:
    match entry:
        case {"file": str(path)} | {"folder": str(path)} | {"pattern": str(path)}:
            return path if is_url(path) else posixpath.normpath(os.path.join(folder, path.removeprefix("file://")))
        case _:
            raise UsageError(f"{file}: a path is file, folder or pattern, not {entry!r}")


def _parts(operation: object) -> tuple[str, Any]:
    if isinstance(operation, dict) and len(operation) == 1:
        ((name, options),) = operation.items()
        return str(name), options if options is not None else {}
    return str(operation), {}
