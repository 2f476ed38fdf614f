"""What an output format offers. Pure: bytes in, bytes out.

    executor:  run()'s return value --Encoder.encode--> Encoded(rows, data, schema)
    rank 0:    in plan order: file = header(schema of the first non-empty) + data + data + ...      (text, CSV, JSONL)
               or encode_group(rows of many) + encode_group(...) + ... + encode_end(their footers)   (Parquet)
               or finalize(all schemas and data in plan order) at the end                          (Arrow)

Rank 0 does not parse `data` of text, CSV and JSONL, but for CSV rows whose columns are in another order; `schema` is a
short byte string that says what the rows look like (column names, or an Arrow schema), the same bytes for every
mini-batch that looks the same.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable


class InvalidReturn(Exception):
    """`run()` returned something that is no list, tuple, array or DataFrame; the message names the type."""


class Encoded(NamedTuple):
    """One return value as bytes.

    rows:   how many rows it has
    data:   the rows, ready to be appended (text, CSV, JSONL), or an Arrow IPC message (Parquet, Arrow)
    schema: b"" where rows have none (text), or where there are no rows
    """

    rows: int
    data: bytes
    schema: bytes = b""


class Encoder(Protocol):
    """The executor's half of a format. Imports pandas or pyarrow only when a value needs it."""

    def encode(self, returned: Any) -> Encoded:
        """Raises InvalidReturn, naming the type, for anything that is no list, tuple, array or DataFrame."""

    def join(self, parts: list[Encoded]) -> Encoded:
        """One value from the parts of an isolated mini-batch, in item order."""


@runtime_checkable
class AppendFormat(Protocol):
    """Rank 0's half of a format whose rows are appended as they are (text, CSV, JSON lines)."""

    def header(self, schema: bytes) -> bytes:
        """The bytes before the first row: a CSV's header."""

    def merge_schema(self, declared: bytes | None, schema: bytes) -> bytes | None:
        """The schema of the file once `schema` has joined `declared` (None: the first); None if it does not fit."""

    def explain_mismatch(self, declared: bytes, schema: bytes) -> str:
        """A sentence that names both schemas, for the mini-batch that does not fit."""

    def reorder(self, declared: bytes, schema: bytes, data: bytes) -> bytes:
        """Rows of another schema, one that `merge_schema` took, as rows of the file's."""


@runtime_checkable
class FinalizeFormat(Protocol):
    """Rank 0's half of a format that is made at the end (Arrow)."""

    def merge_schema(self, declared: bytes | None, schema: bytes) -> bytes | None: ...

    def explain_mismatch(self, declared: bytes, schema: bytes) -> str: ...

    def finalize(self, path: Path, schema: bytes, parts: Iterable[tuple[bytes, bytes]]) -> None:
        """Writes `path` from (schema, data) of every non-empty success in plan order, in flat memory."""

    def read(self, path: Path) -> Any:
        """What `finalize` has written, as an Arrow table."""


class Collected(Protocol):
    """Rows of consecutive mini-batches that are to be a group."""

    @property
    def rows(self) -> int: ...

    @property
    def is_full(self) -> bool:
        """Whether there are enough for a group, which no more may join: a question of these rows alone."""

    def add(self, schema: bytes, data: bytes, skip: int = 0) -> int:
        """A mini-batch but for its first `skip` rows, which a group has already; returns how many it has in all."""


@runtime_checkable
class GroupFormat(FinalizeFormat, Protocol):
    """Rank 0's half of a format that is written a group of rows at a time (Parquet): the bytes that `finalize` makes.

    All groups of a file are of one `final_schema`. Raises MpibatchError where the file cannot have the rows; `path` is
    for its message alone.
    """

    def final_schema(self, schema: bytes) -> bytes:
        """What the file has where `schema` is that of all mini-batches: a wider one need not change it."""

    def collect(self) -> Collected: ...

    def encode_group(
        self, path: Path, schema: bytes, rows: Any, offset: int, last: bool, write: Callable[[bytes], None]
    ) -> bytes:
        """Of what was collected as much as fills groups, of the last all: once it is encoded `write` appends it to the
        file, which has `offset` bytes. Returns its footer, what the end of the file has to say of it. Raises OSError.
        """

    def encode_end(self, path: Path, schema: bytes, footers: Iterable[bytes]) -> bytes:
        """What follows the last group."""
