"""The status block, a seqlock: shared memory that says which mini-batch an executor is at, in which phase, since when.

The executor writes it before and after each phase without a system call; the worker's watchdog reads it at any time,
also while the executor holds the GIL in a C call, and once more after the executor died. A counter at both ends of what
changes with each phase shows a half-written one. Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

import mmap
import os
import struct
import time
from dataclasses import dataclass

from mpibatch.types import UNKNOWN, Phase

STATE = struct.Struct("<QqqQ")  # counter, phase, since (ns), counter
TASK_FIELDS = struct.Struct(
    "<qqqq"
)  # index, first, last, items; changes only while no phase of a mini-batch is under way
ITEMS = struct.Struct("<q")
ITEMS_AT = STATE.size + 24
SIZE = STATE.size + TASK_FIELDS.size
LOAD = int(Phase.LOAD)


@dataclass(frozen=True, slots=True)
class ExecutorStatus:
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


class StatusBlock:
    """Both ends: the worker makes one and hands its descriptor down; the executor opens that."""

    def __init__(self, descriptor: int | None = None) -> None:
        new = descriptor is None
        self.descriptor = os.memfd_create("mpibatch-status", os.MFD_CLOEXEC) if descriptor is None else descriptor
        if new:
            os.ftruncate(self.descriptor, SIZE)
        self._memory = mmap.mmap(self.descriptor, SIZE)
        self._counter = 0
        if new:
            self.set_idle()
            self.set_phase(Phase.START)  # the limit of init() holds from here, also if nothing is ever written

    def set_phase(self, phase: int) -> float:
        """The executor begins `phase`; returns the time it noted."""
        counter = self._counter = self._counter + 1
        now = time.monotonic_ns()
        STATE.pack_into(self._memory, 0, counter, phase, now, counter)
        return now * 1e-9

    def begin_task(self, index: int, first: int, last: int, items: int) -> float:
        """The executor turns to a mini-batch, or to a part of it, and begins to load it."""
        TASK_FIELDS.pack_into(self._memory, STATE.size, index, first, last, items)
        return self.set_phase(LOAD)

    def set_items(self, items: int) -> None:
        """The number of items is known now."""
        ITEMS.pack_into(self._memory, ITEMS_AT, items)

    def set_idle(self) -> None:
        """Outside of mini-batches."""
        TASK_FIELDS.pack_into(self._memory, STATE.size, UNKNOWN, 0, UNKNOWN, UNKNOWN)
        self.set_phase(Phase.IDLE)

    def read(self) -> ExecutorStatus | None:
        """The state now; None if the executor is just writing it (or was killed while writing)."""
        counter, phase, since, counter_after = STATE.unpack_from(self._memory)
        index, first, last, items = TASK_FIELDS.unpack_from(self._memory, STATE.size)
        if counter != counter_after or STATE.unpack_from(self._memory)[0] != counter:
            return None
        return ExecutorStatus(counter, index, first, last, items, Phase(phase), since * 1e-9)

    def detach(self) -> None:
        """From now on what is entered here is nobody's business."""
        self._memory = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)
