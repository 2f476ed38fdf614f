"""What one attempt leaves: an `ATTEMPT` record of fixed width, then its row bytes, then its failures as JSON.

    executor --ATTEMPT record + row bytes + failure bytes--> worker --> scheduler (how it ended), results log (all)

Light on purpose: executors import this before the user's script.
"""

import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from mpibatch.large import RowData
from mpibatch.types import UNKNOWN


class AttemptOutcome(IntEnum):
    """How one attempt ended; the names are the keys of `attempts` in summary.json."""

    SUCCEEDED = 0
    USER_ERROR = 1
    WRONG_RETURN = 2
    LOAD_ERROR = 3
    TIMEOUT = 4
    EXECUTOR_CRASH = 5
    LOST_RANK = 6
    OUT_OF_MEMORY = 7


ATTEMPT = struct.Struct("<qqqqqIiBBBxdfffq")
"""One attempt, little-endian, without padding but the one byte shown; ATTEMPT_DTYPE is the same for NumPy."""
ATTEMPT_FIELDS: list[tuple[str, str]] = [
    ("index", "<i8"),
    ("items", "<i8"),  # UNKNOWN if the data could not be read
    ("succeeded", "<i8"),  # items with a row
    ("row_bytes", "<i8"),
    ("failure_bytes", "<i8"),
    ("schema", "<u4"),  # id of the rows' schema, 0 for none
    ("rank", "<i4"),
    ("cause", "u1"),
    ("tries", "u1"),  # which try this was, from 1
    ("flags", "u1"),
    ("pad", "u1"),
    ("started", "<f8"),  # seconds since the epoch
    ("load", "<f4"),  # seconds
    ("run", "<f4"),
    ("encode", "<f4"),
    ("memory", "<i8"),  # bytes: the most that the executor's tree has used since it started, 0 if not measured yet
]


@dataclass(frozen=True, slots=True)
class Attempt:
    """An ATTEMPT record that was read back: the fields of ATTEMPT_FIELDS, without the padding."""

    index: int
    items: int
    succeeded: int
    row_bytes: int
    failure_bytes: int
    schema: int
    rank: int
    cause: int
    tries: int
    flags: int
    started: float
    load: float
    run: float
    encode: float
    memory: int


def pack(
    *,
    index: int,
    items: int,
    rank: int,
    cause: AttemptOutcome,
    tries: int,
    started: float,
    succeeded: int = 0,
    row_bytes: int = 0,
    failure_bytes: int = 0,
    schema: int = 0,
    flags: int = 0,
    load: float = 0.0,
    run: float = 0.0,
    encode: float = 0.0,
    memory: int = 0,
) -> bytes:
    """One ATTEMPT record; started: seconds since the epoch; load, run, encode: seconds that each phase took."""
    return ATTEMPT.pack(
        index, items, succeeded, row_bytes, failure_bytes, schema, rank, cause, tries, flags, started, load, run,
        encode, memory,
    )  # fmt: skip


def with_memory(record: RowData, packed: bytes) -> bytes:
    """An ATTEMPT record with its last field, of which only the worker knows: little-endian, 8 bytes."""
    return b"" + record[:_MEMORY_AT] + packed  # bytes of a memoryview too, and of bytes no copy


def unpack(data: bytes, position: int = 0) -> Attempt:
    """The ATTEMPT record that begins at `position`."""
    return Attempt(*ATTEMPT.unpack_from(data, position))


_CAUSE_AT = struct.calcsize("<qqqqqIi")
_MEMORY_AT = ATTEMPT.size - 8


def has_succeeded(record: RowData) -> bool:
    """Whether this ATTEMPT record is a success, without unpacking it."""
    return record[_CAUSE_AT] == AttemptOutcome.SUCCEEDED


def schema_id(schema: bytes) -> int:
    """The number that stands for a schema in attempt records: 0 for none."""
    return (zlib.crc32(schema) or 1) if schema else 0


class Flag(IntEnum):
    """Bits of an attempt's `flags`."""

    SURPLUS = 1  # run() returned more rows than items; they are kept
    ISOLATED = 2  # made up of parts: the last try had failed
    ESTIMATED = 4  # the data could not be read: items is a count by a scan that may be off


@dataclass(frozen=True, slots=True)
class Failure:
    """Why items failed: what follows an attempt that lost some, as JSON.

    cause:     the name of an AttemptOutcome, lower case
    error:     one line: the exception, or what happened
    traceback: of the user's script, "" where there is none
    lost:      positions of the failed items within the mini-batch; None: all of them, or (missing) any
    missing:   a short return: how many items have no row; any of the mini-batch's may be the ones
    located:   the failed items as failed_items.jsonl has them, where only an executor could tell; else None
    fatal:     going on would give wrong rows elsewhere, so the run is to be given up
    """

    cause: str
    error: str
    traceback: str = ""
    lost: list[int] | None = None
    missing: int = 0
    rank: int = UNKNOWN
    tries: int = 0
    host: str = ""
    fatal: bool = False
    located: list[dict[str, Any]] | None = None


def encode_failures(failures: Iterable[Failure]) -> bytes:
    """The failure bytes of an attempt: a JSON list, several entries only where isolation found several poison items."""
    return json.dumps([asdict(failure) for failure in failures]).encode()


def decode_failures(data: RowData) -> list[Failure]:
    return [Failure(**entry) for entry in json.loads(bytes(data))] if data else []
