"""What a CHECKPOINT record says: how far the files that are made of the log have come.

Assembly.checkpoint, checksums of the blocks since the last record --encode--> results log --decode--> recover
"""

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from mpibatch.runs.checksummed_file import BEGINNING, BLOCK_BYTES, FileState

HEAD = struct.Struct("<QQQI")  # frontier; of row groups: mini-batch, row, generation
FILE = struct.Struct("<QII")  # size, checksum of the tail, number of blocks


@dataclass(frozen=True, slots=True)
class GroupsWritten:
    """How far an output of row groups has come, which may be less far than failed_items.jsonl.

    batch, row: the first row that no group has: that mini-batch's, after so many of its rows
    generation: how often the output was begun anew
    """

    batch: int = 0
    row: int = 0
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far assembly has come, and with it its files. footers: those of an output of row groups."""

    frontier: int = 0
    output: FileState = BEGINNING
    failed: FileState = BEGINNING
    footers: FileState = BEGINNING
    groups: GroupsWritten = GroupsWritten()

    @property
    def files(self) -> tuple[FileState, FileState, FileState]:
        return self.output, self.failed, self.footers

    def encode(self, blocks: "Sequence[array[int]]") -> bytes:
        """The body of a record. blocks: of each file, the checksums up to here that no record of this log has yet."""
        parts = [HEAD.pack(self.frontier, self.groups.batch, self.groups.row, self.groups.generation)]
        parts += [FILE.pack(one.size, one.tail_crc, len(of)) for one, of in zip(self.files, blocks, strict=True)]
        return b"".join([*parts, *(of.tobytes() for of in blocks)])

    @staticmethod
    def decode(data: bytes) -> "tuple[Checkpoint, list[array[int]]]":
        """Raises ValueError, struct.error."""
        frontier, *groups = HEAD.unpack_from(data)
        files = [FILE.unpack_from(data, HEAD.size + number * FILE.size) for number in range(3)]
        left = array("I", data[HEAD.size + 3 * FILE.size :])
        if len(left) != sum(count for _, _, count in files):
            raise ValueError("a checkpoint has other blocks than it says")
        blocks = []
        for _, _, count in files:
            blocks.append(left[:count])
            left = left[count:]
        output, failed, footers = (FileState(size, crc) for size, crc, _ in files)
        return Checkpoint(frontier, output, failed, footers, GroupsWritten(*groups)), blocks

    def extended(self, before: "Sequence[array[int]]", more: "Sequence[array[int]]") -> "list[array[int]]":
        """The checksums of all blocks up to here, of which `more` are the last."""
        return [
            blocks[: one.size // BLOCK_BYTES - len(new)] + new
            for one, blocks, new in zip(self.files, before, more, strict=True)
        ]
