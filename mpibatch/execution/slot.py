"""The slot: shared memory that says which mini-batch an executor is at, in which phase, since when.

The executor writes it before and after each phase without a system call; the worker's watchdog reads it at any time,
also while the executor holds the GIL in a C call, and once more after the executor died. A counter at both ends of the
record shows a half-written one. Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

import mmap
import os
import struct
import time
from dataclasses import dataclass

from mpibatch.types import UNKNOWN, Phase

LAYOUT = struct.Struct("<QqqqqQdQ")  # counter, index, first, last, items, phase, since, counter


@dataclass(frozen=True, slots=True)
class Reading:
    """What an executor is at.

    index:  mini-batch, UNKNOWN outside of one
    first, last: the part of it, [0, UNKNOWN) for the whole
    items:  of the mini-batch, UNKNOWN until loaded
    since:  seconds, time.monotonic()
    """

    counter: int
    index: int
    first: int
    last: int
    items: int
    phase: Phase
    since: float


class Slot:
    """Both ends: the worker makes one and hands its descriptor down; the executor opens that."""

    def __init__(self, descriptor: int | None = None) -> None:
        new = descriptor is None
        if descriptor is None:
            descriptor = os.memfd_create("mpibatch-slot", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, LAYOUT.size)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, LAYOUT.size)
        self._counter = 0
        self._at = (UNKNOWN, 0, UNKNOWN)
        self._items = UNKNOWN
        if new:
            self.enter(Phase.START)  # an executor that dies before it has written anything is at no mini-batch

    def enter(self, phase: Phase) -> float:
        """The executor begins `phase`; returns the time it noted."""
        self._counter += 1
        now = time.monotonic()
        index, first, last = self._at
        LAYOUT.pack_into(self._memory, 0, self._counter, index, first, last, self._items, phase, now, self._counter)
        return now

    def begin(self, index: int, first: int, last: int, items: int) -> float:
        """The executor turns to a mini-batch, or to a part of it, and begins to load it."""
        self._at = (index, first, last)
        self._items = items
        return self.enter(Phase.LOAD)

    def loaded(self, items: int) -> None:
        """The number of items is known now; visible from the next phase on."""
        self._items = items

    def rest(self) -> None:
        """Between mini-batches."""
        self._at = (UNKNOWN, 0, UNKNOWN)
        self._items = UNKNOWN
        self.enter(Phase.IDLE)

    def read(self) -> Reading | None:
        """The state now; None if the executor is just writing it (or was killed while writing)."""
        counter, index, first, last, items, phase, since, again = LAYOUT.unpack_from(self._memory)
        if counter != again:
            return None
        return Reading(counter, index, first, last, items, Phase(phase), since)

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)
