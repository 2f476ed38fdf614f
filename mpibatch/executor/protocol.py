"""What goes between a worker and its executor, in bytes.

    worker --> executor   queue, SOCK_SEQPACKET: a packet is one task, or a group of tasks that take no time; the worker
                          can recall what the executor has not taken
    executor --> worker   pipe: frames {type, length} body
                          ATTEMPT: an ATTEMPT record, its row bytes, its failure bytes
                          SCHEMA:  id (4 bytes, little-endian) and the schema's bytes, before the first rows of it
                          NAMES:   the items of a part, as failed_items.jsonl has them, as JSON, before run() gets a
                                   part of one item (which may kill the executor), and after a short return
                          READY:   init() is done
                          INIT_FAILED: init() (or the import) failed, or what is planned cannot be read; a Failure as
                                   JSON

A packet too large for a socket travels as the path of a memory file that the worker holds open (`spill_path`).
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from mpibatch.types import UNKNOWN, MiniBatch


class FrameType(IntEnum):
    ATTEMPT = 1
    SCHEMA = 2
    READY = 3
    INIT_FAILED = 4
    NAMES = 5


FRAME = struct.Struct("<BQ")
TASK_HEADER = struct.Struct(
    "<BIIIqqqqq"
)  # tries, dataset, key bytes, payload bytes, index, item_offset, items, first, last
LARGEST_PACKET = 64 << 10
INLINE, SPILLED = b"\0", b"\1"  # the first byte of a packet


class Task(NamedTuple):
    """One call of run(): a mini-batch, or with `first` and `last` items [first, last) of it.

    isolate_items: for the worker only: how many items the mini-batch has, which is to be run in parts; else 0
    """

    mini_batch: MiniBatch
    tries: int
    first: int = 0
    last: int = UNKNOWN
    isolate_items: int = 0

    @property
    def is_part(self) -> bool:
        return self.last != UNKNOWN


def pack(tasks: Iterable[Task]) -> bytes:
    """A packet of these tasks."""
    parts = [INLINE]
    for batch, tries, first, last, _ in tasks:
        key, payload = batch.key.encode(), batch.payload
        parts += (
            TASK_HEADER.pack(
                tries, batch.dataset, len(key), len(payload), batch.index, batch.item_offset, batch.items, first, last
            ),
            key,
            payload,
        )
    return b"".join(parts)


def unpack(packet: bytes) -> list[Task]:
    """The tasks of a packet, whichever way it came. Raises OSError where it was spilled and the worker is gone."""
    if packet[:1] == SPILLED:
        with open(packet[1:], "rb") as file:
            packet = file.read()
    tasks, position, size = [], 1, len(packet)
    while position < size:
        tries, dataset, key_bytes, payload_bytes, index, offset, items, first, last = TASK_HEADER.unpack_from(
            packet, position
        )
        position += TASK_HEADER.size
        key = packet[position : position + key_bytes].decode() if key_bytes else ""
        position += key_bytes + payload_bytes
        payload = packet[position - payload_bytes : position]
        tasks.append(Task(MiniBatch(index, dataset, offset, items, key, payload), tries, first, last))
    return tasks


def spill_path(pid: int, descriptor: int) -> bytes:
    """The packet that stands for one too large: where its bytes are, as another process of the user can open it."""
    return SPILLED + f"/proc/{pid}/fd/{descriptor}".encode()
