"""Reading row bytes and failures back from the results logs of all incarnations.

A log that was taken over by its index (`log_index.py`) was not read as a whole before: what is needed of it is checked
when it is read first. It is what has not yet been assembled, so most of a large log is never read again.
"""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpibatch.errors import RunDirectoryError
from mpibatch.runs.log_records import header_crc

PIECE_BYTES = 4 << 20
MOST_PER_CALL = 1 << 30  # pread(2) gives at most 2 GiB at once
EXTENT_DTYPE = np.dtype(
    [("type", "u1"), ("checked", "?"), ("count", "<u4"), ("offset", "<i8"), ("length", "<i8"), ("crc", "<u4")]
)
"""A record of a log: where its body is, how long, and the checksum of all of it."""


@dataclass(slots=True)
class _Log:
    """extents: of records that were taken from the index, in the order of their offsets."""

    descriptor: int
    extents: NDArray[np.void]
    index: Path | None


_NONE = np.zeros(0, dtype=EXTENT_DTYPE)


class LogReader:
    """The logs of one run, by epoch; open until `close`."""

    def __init__(self) -> None:
        self._logs: dict[int, _Log] = {}

    @property
    def epochs(self) -> list[int]:
        return list(self._logs)

    def add(self, epoch: int, descriptor: int, extents: NDArray[np.void] = _NONE, index: Path | None = None) -> None:
        """Takes over the descriptor. extents: records, as EXTENT_DTYPE, that were taken from the index at `index`."""
        self._logs[epoch] = _Log(descriptor, extents, index)

    def read(self, epoch: int, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`. Raises RunDirectoryError where the log has not what it promised, OSError."""
        log = self._logs[epoch]
        if len(log.extents) and length:
            self._check(epoch, log, offset, length)
        pieces: list[bytes] = []
        left = length
        while left:
            piece = os.pread(log.descriptor, min(left, MOST_PER_CALL), offset)
            if not piece:
                raise RunDirectoryError(f"the results log ends before row bytes at {offset} that it has promised")
            pieces.append(piece)
            offset, left = offset + len(piece), left - len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        for log in self._logs.values():
            os.close(log.descriptor)
        self._logs.clear()

    def _check(self, epoch: int, log: _Log, offset: int, length: int) -> None:
        first = max(0, int(np.searchsorted(log.extents["offset"], offset, side="right")) - 1)
        last = int(np.searchsorted(log.extents["offset"], offset + length, side="left"))
        for extent in log.extents[first:last]:
            if extent["checked"]:
                continue
            if _crc_in_file(log.descriptor, extent) != extent["crc"]:
                assert log.index is not None
                log.index.unlink(missing_ok=True)  # without it the next resume cuts the log at the damage
                raise RunDirectoryError(
                    f"the results log of incarnation {epoch} is damaged at byte {extent['offset']}: `mpibatch resume` "
                    "reads all of it then, and what was damaged is done again"
                )
            extent["checked"] = True


def _crc_in_file(descriptor: int, extent: np.void) -> int:
    crc = header_crc(int(extent["type"]), int(extent["count"]), int(extent["length"]))
    offset, end = int(extent["offset"]), int(extent["offset"] + extent["length"])
    while offset < end and (piece := os.pread(descriptor, min(PIECE_BYTES, end - offset), offset)):
        crc, offset = zlib.crc32(piece, crc), offset + len(piece)
    return crc if offset == end else -1
