"""What goes between a worker and its executor, in bytes.

    worker --> executor   queue, SOCK_SEQPACKET: one packet a mini-batch; the worker can take unbegun ones back
    executor --> worker   pipe: frames {type, length} body
                          ATTEMPT: an ATTEMPT record, its row bytes, its failure bytes
                          SCHEMA:  id (4 bytes, little-endian) and the schema's bytes, before the first rows of it
                          READY:   init() is done
                          REFUSED: init() (or the import) failed; a Failure as JSON

A packet too large for a socket travels as the path of a memory file that the worker holds open (`spilled`).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from mpibatch.types import UNKNOWN, MiniBatch


class FrameType(IntEnum):
    ATTEMPT = 1
    SCHEMA = 2
    READY = 3
    REFUSED = 4


FRAME = struct.Struct("<BQ")
PACKET = struct.Struct("<BBHHqqqqq")  # spilled, tries, dataset, key bytes, index, item_offset, items, first, last
LARGEST_PACKET = 64 << 10


@dataclass(frozen=True, slots=True)
class Task:
    """One call of run(): a mini-batch, or with `first` and `last` items [first, last) of it (isolation)."""

    mini_batch: MiniBatch
    tries: int
    first: int = 0
    last: int = UNKNOWN

    @property
    def is_part(self) -> bool:
        return self.last != UNKNOWN

    def encode(self) -> bytes:
        batch = self.mini_batch
        key = batch.key.encode()
        place = (batch.index, batch.item_offset, batch.items, self.first, self.last)
        return PACKET.pack(0, self.tries, batch.dataset, len(key), *place) + key + batch.payload

    @staticmethod
    def decode(packet: bytes) -> "Task":
        _, tries, dataset, key_bytes, index, offset, items, first, last = PACKET.unpack_from(packet)
        start = PACKET.size + key_bytes
        key = packet[PACKET.size : start].decode() if key_bytes else ""
        return Task(MiniBatch(index, dataset, offset, items, key, packet[start:]), tries, first, last)


def spill_path(pid: int, descriptor: int) -> bytes:
    """The packet that stands for one too large: where its bytes are, as another process of the user can open it."""
    return b"\x01" + f"/proc/{pid}/fd/{descriptor}".encode()


def unspill(packet: bytes) -> bytes:
    """The packet itself, whichever way it came. Raises OSError where the worker is gone."""
    if packet[0] == 0:
        return packet
    with open(packet[1:], "rb") as file:
        return file.read()
