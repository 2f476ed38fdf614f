"""What an output format offers. Pure: bytes in, bytes out.

    executor:  run()'s return value --Encoder.encode--> Encoded(rows, data, schema)
    rank 0:    in plan order: file = begin(schema of the first non-empty) + data + data + ...      (text, CSV, JSONL)
               or finalize(all schemas and data in plan order) at the end                          (Parquet)

Rank 0 never parses `data` of a streaming format; `schema` is a short byte string that says what the rows look like
(column names, or an Arrow schema), the same bytes for every mini-batch that looks the same.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable


class WrongReturn(Exception):
    """`run()` returned something that is no list, tuple, array or DataFrame; the message names the type."""


class Encoded(NamedTuple):
    """One return value as bytes.

    rows:   how many rows it has
    data:   the rows, ready to be appended (streaming formats), or an Arrow IPC message (Parquet)
    schema: b"" where rows have none (text), or where there are no rows
    """

    rows: int
    data: bytes
    schema: bytes = b""


class Encoder(Protocol):
    """The executor's half of a format. Imports pandas or pyarrow only when a value needs it."""

    def encode(self, returned: Any) -> Encoded:
        """Raises WrongReturn, naming the type, for anything that is no list, tuple, array or DataFrame."""

    def join(self, parts: list[Encoded]) -> Encoded:
        """One value from the parts of an isolated mini-batch, in item order."""


@runtime_checkable
class Stream(Protocol):
    """Rank 0's half of a format whose rows are appended as they are (text, CSV, JSON lines)."""

    def begin(self, schema: bytes) -> bytes:
        """The bytes before the first row: a CSV's header."""

    def settle(self, declared: bytes | None, schema: bytes) -> bytes | None:
        """The schema of the file once `schema` has joined `declared` (None: the first); None if it does not fit."""

    def explain(self, declared: bytes, schema: bytes) -> str:
        """A sentence that names both schemas, for the mini-batch that does not fit."""


@runtime_checkable
class Finalizer(Protocol):
    """Rank 0's half of a format that is made at the end (Parquet)."""

    def settle(self, declared: bytes | None, schema: bytes) -> bytes | None: ...

    def explain(self, declared: bytes, schema: bytes) -> str: ...

    def finalize(self, path: Path, schema: bytes, parts: Iterable[tuple[bytes, bytes]]) -> None:
        """Writes `path` from (schema, data) of every non-empty success in plan order, in flat memory."""
