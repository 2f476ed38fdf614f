"""A cgroup of an executor's own, where the site delegates one: the kernel's limit behind `memory_per_process`.

    /proc/self/cgroup, mountinfo --find_delegation--> Delegation: the cgroup that executors' are made below, or why not
    Delegation --make_cgroup--> ExecutorCgroup, mpibatch-<pid of the rank>-<n>; the executor enters it before exec
    memory.events (v2), memory.oom_control (v1) --kernel_kill--> KernelKill --> guards.py: the mini-batch is charged
                                                --executor/oom_kills.py--> end of an executor that has lost a child

`MemoryMonitor` (memory.py) goes first: it sums up ten times a second, and says which process is large. The kernel's
limit is a little above, for what allocates faster than the monitor looks, before the whole machine has to pay for it.
The kernel counts more: files in memory (/dev/shm, a tmpfs), and shared pages for whoever touched them first. The cache
of files on disk counts too, but is given up before anything is killed.

The cgroups are made below our own, never beside it: what limits the rank goes on limiting its executors. Version 2 lets
a cgroup with processes limit none below it, so there the launcher, where it is alone in a cgroup of its user's
(`systemd-run --user --scope -p Delegate=yes`), moves into one below (`room_for_cgroups`), and its ranks start there.
"""

import contextlib
import itertools
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mpibatch.config.units import format_memory
from mpibatch.executor.oom_kills import oom_kills

logger = logging.getLogger(__name__)

MARGIN = 0.05  # of memory_per_process, and at least
LEAST_MARGIN = 64 << 20  # bytes: what a busy process may take up between two looks of the monitor
REMOVE_SECONDS = 0.1  # a cgroup whose last process was just killed may still be busy
OWN = re.compile(r"mpibatch-(\d+)-(\d+|ranks)")
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Delegation:
    """Whether executors can have cgroups here.

    version: of the hierarchy that limits memory, 0 where none is seen
    parent:  what they are made below; None where that cannot be, and `why` says it
    room:    version 2: processes have to leave `parent` first (`room_for_cgroups`)
    """

    version: int
    parent: Path | None = None
    why: str = ""
    room: bool = False


@dataclass(frozen=True, slots=True)
class KernelKill:
    """What the kernel has ended in an executor's cgroup, and the most bytes that were in it, 0 if it does not say."""

    peak: int
    ceiling: int
    memory_per_process: int

    def __str__(self) -> str:
        limit = f"memory_per_process: {format_memory(self.memory_per_process)}"
        if self.peak and self.peak < self.memory_per_process:
            return (
                f"used {format_memory(self.peak)} of memory, no more than {limit}, when the kernel's out-of-memory "
                "killer ended a process of it: the machine, or the allocation of the job, had no more. Fewer ranks on "
                "a node, or more memory for the job, would help"
            )
        return (
            f"used {format_memory(self.peak or self.ceiling)} of memory with all that it has started, more than "
            f"{limit}, and was ended by the kernel at the limit of its cgroup, {format_memory(self.ceiling)}: it grew "
            "faster than is looked at, or wrote files to /dev/shm or another tmpfs, which count there. Smaller "
            "mini-batches use less"
        )


class ExecutorCgroup:
    """One executor's, from before its start until after its end.

    folder:  exists already, without limits
    version: of the hierarchy that it is in, 1 or 2
    memory_per_process: bytes; the kernel's limit is a little above
    Raises OSError where it cannot be limited.
    """

    def __init__(self, folder: Path, version: int, memory_per_process: int) -> None:
        self.folder = folder
        self._version = version
        self._limit = memory_per_process
        self._ceiling = memory_per_process + max(int(memory_per_process * MARGIN), LEAST_MARGIN)
        if version == 2:
            _write(folder / "memory.max", self._ceiling)
            with contextlib.suppress(OSError):  # a kernel without swap
                _write(folder / "memory.swap.max", 0)
            with contextlib.suppress(OSError):  # before Linux 4.19: one of its processes is ended, as in version 1
                _write(folder / "memory.oom.group", 1)
        else:
            _write(folder / "memory.limit_in_bytes", self._ceiling)
            with contextlib.suppress(OSError):  # memory and swap together, where swap is counted
                _write(folder / "memory.memsw.limit_in_bytes", self._ceiling)

    @property
    def oom_kills(self) -> Path:
        """Where the kernel counts whom it has ended in it."""
        return self.folder / ("memory.events" if self._version == 2 else "memory.oom_control")

    def kernel_kill(self) -> KernelKill | None:
        """What the kernel has ended in it, so far."""
        if not oom_kills(_read(self.oom_kills).encode()):
            return None
        most = _read(self.folder / ("memory.peak" if self._version == 2 else "memory.max_usage_in_bytes")).strip()
        return KernelKill(int(most) if most.isdecimal() else 0, self._ceiling, self._limit)

    def remove(self) -> None:
        """After the last of its processes; one that something is left in stays for `remove_stale`."""
        until = time.monotonic() + REMOVE_SECONDS
        while (error := _removed(self.folder)) is not None:
            if time.monotonic() > until:
                logger.info("the cgroup %s stays behind: %s", self.folder, error)
                return
            time.sleep(REMOVE_SECONDS / 20)


def find_delegation(root: Path = Path("/")) -> Delegation:
    """Where this process may make cgroups that limit memory. Changes nothing. root: where /proc and /sys are below."""
    mounts, memberships = _mounts(root), _memberships(root)
    if (own := _own_folder(root, mounts.get("memory"), memberships.get("memory"))) is not None:
        unlimited = _read(own / "memory.use_hierarchy").strip() == "0"
        why = f"{own} does not limit what is below it (memory.use_hierarchy is 0)" if unlimited else _read_only(own)
        return Delegation(1, None if why else own, why)
    if (own := _own_folder(root, mounts.get(""), memberships.get(""))) is None:
        return Delegation(0, why="no cgroup that limits memory is mounted here")
    parent = own.parent if (named := OWN.fullmatch(own.name)) and named[2] == "ranks" else own
    controllers, enabled = (_read(parent / f"cgroup.{name}").split() for name in ("controllers", "subtree_control"))
    if why := _read_only(parent) if "memory" in controllers else f"{parent} has no memory controller":
        return Delegation(2, why=why)
    if "memory" in enabled:
        return Delegation(2, parent)
    if _read(parent / "cgroup.procs").split() == [str(os.getpid())]:
        return Delegation(2, parent, "this process would have to leave it first, as `mpibatch run` does", room=True)
    return Delegation(2, why=f"{parent} has other processes too, so that it can limit none below it")


def make_cgroup(delegation: Delegation, memory_per_process: int) -> ExecutorCgroup | None:
    """A new one; None, and a line in the log, where there can be none."""
    if delegation.parent is None or delegation.room:
        return None
    folder = delegation.parent / f"mpibatch-{os.getpid()}-{next(_numbers)}"
    try:
        folder.mkdir()
        return ExecutorCgroup(folder, delegation.version, memory_per_process)
    except OSError as error:
        _removed(folder)
        logger.info("the executor gets no cgroup of its own, memory_per_process is watched only: %s", error)
        return None


def remove_stale(delegation: Delegation) -> None:
    """What ranks that were killed have left. One that has processes stays; the kernel sees to that."""
    for folder in delegation.parent.glob("mpibatch-*") if delegation.parent is not None else ():
        named = OWN.fullmatch(folder.name)
        if named is not None and not os.path.exists(f"/proc/{named[1]}"):
            _removed(folder)


@contextlib.contextmanager
def room_for_cgroups(delegation: Delegation | None) -> Iterator[None]:
    """Version 2: this process, and what it starts meanwhile, is in a cgroup below its own, which can limit others then.

    Does nothing where there is no need, or no way.
    """
    if delegation is None or delegation.parent is None or not delegation.room:
        yield
        return
    parent, leaf = delegation.parent, delegation.parent / f"mpibatch-{os.getpid()}-ranks"
    undo = contextlib.ExitStack()
    try:
        leaf.mkdir()
        undo.callback(leaf.rmdir)
        _write(leaf / "cgroup.procs", os.getpid())
        undo.callback(_write, parent / "cgroup.procs", os.getpid())
        _write(parent / "cgroup.subtree_control", "+memory")
        undo.callback(_write, parent / "cgroup.subtree_control", "-memory")
    except OSError:
        with contextlib.suppress(OSError):
            undo.close()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # else what has started us cannot remove its cgroup
            undo.close()


def _mounts(root: Path) -> dict[str, tuple[str, str]]:
    """What is mounted of the hierarchies, and where: by "memory" that of version 1, by "" that of version 2."""
    found = {}
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if kind[:1] == ["cgroup2"]:
            found[""] = fields[3], fields[4]
        elif kind[:1] == ["cgroup"] and "memory" in kind[-1].split(","):
            found["memory"] = fields[3], fields[4]
    return found


def _memberships(root: Path) -> dict[str, str]:
    """The cgroup of this process in each hierarchy."""
    lines = [line.split(":", 2) for line in _read(root / "proc/self/cgroup").splitlines()]
    return {controller: path for _, controllers, path in lines for controller in controllers.split(",")}


def _own_folder(root: Path, mount: tuple[str, str] | None, path: str | None) -> Path | None:
    """The folder of our cgroup; None where it is not below the mount point, as in some containers."""
    if mount is None or path is None or ".." in Path(path).parts or not Path(path).is_relative_to(mount[0]):
        return None
    return root / mount[1].lstrip("/") / Path(path).relative_to(mount[0])


def _removed(folder: Path) -> OSError | None:
    """None, or why it is still there."""
    try:
        folder.rmdir()
    except OSError as error:
        return error if folder.exists() else None
    return None


def _read_only(folder: Path) -> str:
    """Why nothing can be made below it; "" where it can."""
    if os.access(folder, os.W_OK | os.X_OK) and os.access(folder / "cgroup.procs", os.W_OK):
        return ""
    return f"{folder} is not ours to write to"


def _read(path: Path) -> str:
    """Nothing where there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _write(path: Path, value: object) -> None:
    """Into a file that the kernel has made. Raises OSError."""
    with open(os.open(path, os.O_WRONLY), "w", encoding="ascii") as file:
        file.write(str(value))
