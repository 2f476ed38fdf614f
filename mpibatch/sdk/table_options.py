"""How tables are read, as programs say it: from the arguments of Azure's methods to an entry of `inputs:`.

separator=";", include_path=True  -->  {"type": "csv", "path": ..., "delimiter": ";", "path_column": "Path"}
"""

from collections.abc import Mapping
from typing import Any

from mpibatch.config.partition_format import PATH_COLUMN


def delimited(
    separator: str | None = None, header: Any = True, quoted_line_breaks: bool = False, encoding: str | None = None
) -> dict[str, Any]:
    """How CSV is written; what is None is left to the job.

    header: False, or PromoteHeadersBehavior.NO_HEADERS, where the first line names nothing
    """
    options: dict[str, Any] = {} if separator is None else {"delimiter": separator}
    if encoding is not None:
        options["encoding"] = {"utf8": "utf-8"}.get(encoding, encoding)
    if header is False or getattr(header, "name", header) == "NO_HEADERS":
        options["has_header"] = False
    if quoted_line_breaks:
        options["quoted_newlines"] = True
    return options


def columns(include_path: bool = False, set_column_types: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Which columns there are besides those of the file, and their types."""
    options: dict[str, Any] = {"path_column": PATH_COLUMN} if include_path else {}
    if set_column_types:
        options["column_types"] = {name: str(type) for name, type in set_column_types.items()}
    return options
