"""A message too large for one piece, at the rank that receives it.

    Announcement {sizes} -- room? --> a buffer for each part <-- Irecv of its pieces        message: no copy of them

The first part is the message's pickle, the others are the buffers that were left out of it (PEP 574). What is announced
stays with its sender until there is room for it here: a receive that MPI has matched must be given its memory.
"""

import pickle
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mpibatch.large import new_buffer
from mpibatch.types import Pickled

if TYPE_CHECKING:
    from mpi4py import MPI

BODY_TAG = 8  # of its pieces
PIECE_BYTES = 32 << 20  # MPI's counts end at 2 GiB


@dataclass(frozen=True, slots=True)
class Announcement(Pickled):
    """A large message follows in parts of these sizes, in pieces; between them come no others of the same tag."""

    sizes: list[int]


def pieces(part: memoryview) -> list[memoryview]:
    """What is sent, and received, with one call each."""
    return [part[start : start + PIECE_BYTES] for start in range(0, len(part), PIECE_BYTES)]


@dataclass(slots=True, eq=False)
class LargeMessage:
    """One that `source` has announced. It has no memory before `begin`."""

    source: int
    sizes: list[int]
    _parts: list[memoryview] = field(default_factory=list)
    _requests: "deque[MPI.Request]" = field(default_factory=deque)

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def begin(self, comm: "MPI.Comm", unit: "MPI.Datatype") -> None:
        """To be called in the order of the announcements: MPI matches the pieces of one rank in order."""
        self._parts = [new_buffer(size) for size in self.sizes]
        for part in self._parts:
            for piece in pieces(part):
                self._requests.append(comm.Irecv([piece, unit], self.source, BODY_TAG))

    def has_arrived(self) -> bool:
        while self._requests and self._requests[0].Test():
            self._requests.popleft()
        return bool(self._parts) and not self._requests

    def message(self) -> Any:
        """Once it has arrived."""
        pickled, *buffers = self._parts
        return pickle.loads(pickled, buffers=buffers)
