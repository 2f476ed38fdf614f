"""How much memory an executor uses together with all that it has started, and the end of one that uses too much.

    /proc/<pid>/statm of the executor and its descendants --sum--> resident: cheap, but counts a shared page many times
    where that might be too much, or the most so far: /proc/<pid>/smaps_rollup --sum--> PSS: counts it once
    PSS > memory_per_process --> on_exceeded, once      PSS > replace_above --> replace_due      the most --> peak
    ExecutorCgroup.kernel_kill: what the kernel ended first, where the executor has a cgroup --> on_exceeded, too

PSS shares a page out among the processes that map it, those of other executors too: weights that all map from one file
are not held against each. What was swapped out counts as well.
"""

import os
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from mpibatch.config.schema import RunConfig
from mpibatch.config.units import format_memory, parse_memory
from mpibatch.worker.cgroup import KernelKill

WATCHED_SECONDS = 0.1  # between two looks where there is a limit
UNWATCHED_SECONDS = 1.0
MOST_OF_TIME = 0.05  # that looking may cost; the memory of a very large process takes long to sum up
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PEAK = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """In bytes, as the settings of these names; None: no limit."""

    memory_per_process: int | None = None
    replace_above: int | None = None

    @classmethod
    def from_config(cls, config: RunConfig) -> Self:
        return cls(parse_memory(config.memory_per_process), parse_memory(config.replace_above))


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Of an executor's tree: bytes of all its processes, how many these are, and the largest of them."""

    bytes: int
    processes: int
    largest_bytes: int
    largest_name: str

    def __str__(self) -> str:
        if self.processes == 1:
            return f"{format_memory(self.bytes)} of memory"
        return (
            f"{format_memory(self.bytes)} of memory with all that it has started ({self.processes} processes, the "
            f"largest, {self.largest_name}, {format_memory(self.largest_bytes)})"
        )


@dataclass(frozen=True, slots=True)
class MemoryExceeded:
    """What an executor had when it was ended for it."""

    use: MemoryUse
    limit: int

    def __str__(self) -> str:
        return f"used {self.use}, more than memory_per_process: {format_memory(self.limit)}, and was ended"


class MemoryMonitor:
    """The thread. `on_exceeded` is called once, in it.

    tree:        the executor and its descendants, by their process numbers
    kernel_kill: what the kernel has ended of it for its memory
    """

    def __init__(
        self,
        tree: Callable[[], list[int]],
        limits: MemoryLimits,
        on_exceeded: Callable[[MemoryExceeded | KernelKill], None],
        kernel_kill: Callable[[], KernelKill | None],
    ) -> None:
        self._tree = tree
        self._kernel_kill = kernel_kill
        self._limits = limits
        self._on_exceeded = on_exceeded
        self._now = MemoryUse(0, 0, 0, "")
        self._peak = 0
        self.packed_peak = PEAK.pack(0)
        """The most so far, as the last field of an ATTEMPT record has it."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mpibatch-memory", daemon=True)
        self._thread.start()

    @property
    def replace_due(self) -> MemoryUse | None:
        """What the executor uses, where that is more than `replace_above`."""
        limit, now = self._limits.replace_above, self._now
        return now if limit is not None and now.bytes > limit else None

    def note_peak(self, bytes: int) -> None:
        """So much was in use."""
        if bytes > self._peak:
            self._peak, self.packed_peak = bytes, PEAK.pack(bytes)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        limit = self._limits.memory_per_process
        pause = UNWATCHED_SECONDS if self._limits == MemoryLimits() else WATCHED_SECONDS
        wait = min(pause, WATCHED_SECONDS)  # the first look is early, for runs of a second
        while not self._stop.wait(wait):
            began = time.monotonic()
            if (killed := self._kernel_kill()) is not None:
                self.note_peak(killed.peak)
                self._on_exceeded(killed)
                return
            pids = self._tree()
            use = measure(pids, resident_bytes)
            if use.bytes > min(self._peak, limit or self._peak, self._limits.replace_above or self._peak):
                use = measure(pids, pss_bytes)
            self._now = use
            self.note_peak(use.bytes)
            if limit is not None and use.bytes > limit:
                self._on_exceeded(MemoryExceeded(use, limit))
                return
            wait = max(pause, (time.monotonic() - began) / MOST_OF_TIME)


def measure(pids: Iterable[int], memory_of: Callable[[int], int]) -> MemoryUse:
    """The sum over processes; those that have ended meanwhile have none."""
    sizes = {pid: size for pid in pids if (size := memory_of(pid))}
    largest = max(sizes, key=sizes.__getitem__, default=0)
    return MemoryUse(sum(sizes.values()), len(sizes), sizes.get(largest, 0), _name(largest))


def resident_bytes(pid: int) -> int:
    """Of one process, shared pages included."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def pss_bytes(pid: int) -> int:
    """Of one process, with its part of shared pages and what was swapped out; what is resident where that is hidden."""
    found = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith((b"Pss:", b"SwapPss:")):
                    found += int(line.split()[1]) * 1024
    except OSError:  # another user's, or Linux before 4.14
        return resident_bytes(pid)
    return found


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return f"{file.read().strip()} {pid}"
    except OSError:
        return str(pid)
