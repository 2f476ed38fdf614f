"""One owner: who writes in a run directory, and proof that nobody else does.

    owner.json {key, host, boot id, pid, start}         made exclusively, never rewritten
    .owner.<key>.beat {number}                          rewritten every BEAT_SECONDS, by a thread of the owner
    .owner.<key>.heir                                   made exclusively by the one that takes over from a dead owner

A second run is refused while the owner's process lives (same machine) or its beat advances (another). It takes over
when the beat has stood still for LEASE_SECONDS; and an owner that could not beat for half as long (stopped, cut off
from the file system) finds out, before it writes again, whether it has been taken over. An owner never touches a file
of its successor's, and of several successors one makes the heir's file. No file locks: network file systems do not all
have them.
"""

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from mpibatch.errors import RunDirectoryError, StoppedEarly, UsageError
from mpibatch.runs.directory import RunDirectory

BEAT_SECONDS = 2.0
LEASE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Owner:
    """key: random, tells one owner from the next; began: start time of the process in clock ticks (proc(5))."""

    key: str
    host: str
    boot_id: str
    pid: int
    began: int

    @staticmethod
    def me() -> "Owner":
        return Owner(secrets.token_hex(8), os.uname().nodename, _boot_id(), os.getpid(), began(os.getpid()) or 0)

    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine since its last start."""
        return self.boot_id == _boot_id() and self.host == os.uname().nodename

    def lives(self) -> bool:
        """Of an owner that is here: whether its process is still the same."""
        return began(self.pid) == self.began


class InUse(UsageError):
    """Another run is at work in the directory."""


class Lease:
    """Held from `acquire` to `release`; a thread beats."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path = path
        self._owner = owner
        self._beats = 0
        self._last_beat = _now()
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._go_on, name="mpibatch-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Before anything is written. Raises StoppedEarly where another owner has taken over."""
        if _now() - self._last_beat > LEASE_SECONDS / 2 and not self._lost:
            self._lost = not self._is_mine()
        if self._lost:
            raise StoppedEarly(
                f"another run has taken over {self._path.parent} while this one could not write there for "
                f"{LEASE_SECONDS:g} s; this one stops without writing anything more"
            )

    def beat(self) -> None:
        """Says that the owner is still there, unless it has been taken over."""
        began = _now()
        with contextlib.suppress(OSError):  # a file system that is away for a moment: `check` judges by the clock
            if self._is_mine():
                self._beats += 1
                _write(_beat_of(self._path, self._owner), str(self._beats))
                self._last_beat = began
            else:
                self._lost = True

    def release(self) -> None:
        """Goodbye: whoever comes next need not wait."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            _beat_of(self._path, self._owner).unlink(missing_ok=True)
            if not self._lost and self._is_mine():
                self._path.unlink(missing_ok=True)
                for heir in self._path.parent.glob(".owner.*.heir"):
                    heir.unlink(missing_ok=True)

    def _is_mine(self) -> bool:
        """An owner.json that cannot be read is no proof of a successor."""
        other = _read(self._path)
        return other is None or other.key == self._owner.key

    def _go_on(self) -> None:
        while not self._stop.wait(BEAT_SECONDS) and not self._lost:
            self.beat()


class Watch:
    """Whether anybody is at work in a run directory, as its launcher sees it: the owner's beat goes on.

    Between the start and the first beat, and between the last beat and the end, it may be silent for `limit` seconds
    too. A gap in the own time (the machine was suspended) is no silence.
    """

    def __init__(self, directory: RunDirectory, limit: float) -> None:
        self._path = directory.path / "owner.json"
        self._limit = max(limit, 2 * LEASE_SECONDS)
        self._seen: tuple[str, str | None] | None = None
        self._since = self._looked = _now()

    def is_silent(self) -> bool:
        """To be asked about once a second."""
        now, owner = _now(), _read(self._path)
        seen = None if owner is None else (owner.key, _text(_beat_of(self._path, owner)))
        if seen != self._seen or now - self._looked > 5 * BEAT_SECONDS:
            self._seen, self._since = seen, now
        self._looked = now
        return now - self._since > self._limit


def acquire(
    directory: RunDirectory, wait: Callable[[float], None] = time.sleep, tell: Callable[[str], None] = lambda text: None
) -> Lease:
    """Makes this process the owner of the run directory.

    Waits up to LEASE_SECONDS where the last owner was on another machine and has not said goodbye.
    Raises InUse where another owner is at work, RunDirectoryError where nothing can be written.
    """
    path = directory.path / "owner.json"
    me = Owner.me()
    try:
        while not (_create(path, me) or _succeed(path, me, wait, tell)):
            wait(0.01)
    except OSError as error:
        raise RunDirectoryError(
            f"cannot write {path}: {error.strerror}. Is the run directory there and writable, and is there room?"
        ) from error
    return Lease(path, me)


def refuse_if_owned(directory: RunDirectory, wait: Callable[[float], None] = time.sleep) -> None:
    """Raises InUse where a run is at work in the directory."""
    path = directory.path / "owner.json"
    owner = _read(path)
    if owner is not None:
        _refuse_if_alive(path, owner, wait, lambda text: None)


def _succeed(path: Path, me: Owner, wait: Callable[[float], None], tell: Callable[[str], None]) -> bool:
    """Takes over from an owner that is gone; False where another was quicker. Raises InUse, OSError."""
    first = _read(path)
    if first is None:
        # empty or damaged: a full disk may have left it; nobody owns what nobody can read
        unreadable = path.exists()
        if unreadable:
            path.rename(path.with_name(f".owner.{me.key}.unreadable"))
        return False
    last = first
    while (heir := _read(_heir_of(path, last))) is not None:  # one that died while it took over
        last = heir
    _refuse_if_alive(path, last, wait, tell)
    mine = _heir_of(path, last)
    if not _create(mine, me):
        return False
    now = _read(path)
    if now is None or now.key != first.key:  # it had said goodbye, or was succeeded, before we looked for its heir
        mine.unlink(missing_ok=True)
        return False
    _write(path, json.dumps(asdict(me)))
    _beat_of(path, last).unlink(missing_ok=True)
    return True


def _refuse_if_alive(path: Path, other: Owner, wait: Callable[[float], None], tell: Callable[[str], None]) -> None:
    if other.is_here():
        alive = other.lives()
    else:
        tell(
            f"{path} names an owner on {other.host}; waiting up to {LEASE_SECONDS:g} s to see whether it is still there"
        )
        alive = False
        until = _now() + LEASE_SECONDS
        before = _text(_beat_of(path, other))
        while not alive and _now() < until and path.exists():
            wait(BEAT_SECONDS / 2)
            alive = _text(_beat_of(path, other)) not in (before, None)
    if alive:
        raise InUse(
            f"{path.parent} is in use by process {other.pid} on {other.host}. Wait until that run has ended, or stop "
            "it (SIGTERM lets it end in order)."
        )


def _beat_of(path: Path, owner: Owner) -> Path:
    return path.with_name(f".owner.{owner.key}.beat")


def _heir_of(path: Path, owner: Owner) -> Path:
    return path.with_name(f".owner.{owner.key}.heir")


def _create(path: Path, owner: Owner) -> bool:
    """Exclusively, and with its content from the first moment on: a link is atomic on network file systems too."""
    temporary = path.with_name(f".owner.{owner.key}.new")
    try:
        temporary.write_text(json.dumps(asdict(owner)), encoding="ascii")
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _write(path: Path, text: str) -> None:
    """Atomically."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="ascii")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None


def _read(path: Path) -> Owner | None:
    """The owner as written; None where there is none or it cannot be read."""
    try:
        return Owner(**json.loads(_text(path) or ""))
    except (ValueError, TypeError):
        return None


def _now() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    """Of this start of the machine, and of the process namespace within it: where a pid means something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def began(pid: int) -> int | None:
    """When a process started, in clock ticks: tells it from a later one of the same number.

    Field 22 of /proc/<pid>/stat; None where there is no such process, or only what its parent has not buried.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
