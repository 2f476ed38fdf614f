"""One owner: who writes in a run directory, and proof that nobody else does.

    owner.json {key, host, boot id, pid, start}         made exclusively, never rewritten
    .owner.<key>.renewals {number}                      rewritten every RENEW_SECONDS, by a thread of the owner
    .owner.<key>.takeover                               made exclusively by the one that takes over from a dead owner

A second run is refused while the owner's process lives (same machine) or renews its lease (another). It takes over
when there was no renewal for LEASE_SECONDS; and an owner that could not renew for half as long (stopped, cut off from
the file system) finds out, before it writes again, whether it has been taken over. An owner never touches a file of its
successor's, and of several successors one makes the takeover file. No file locks: network file systems do not all have
them.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from mpibatch.errors import RunDirectoryError, StoppedEarly, UsageError
from mpibatch.files import replacing
from mpibatch.liveness.clock import AwakeClock
from mpibatch.liveness.process_tree import start_ticks
from mpibatch.liveness.timers import LEASE_SECONDS, RENEW_SECONDS

WATCH_SECONDS = 8.0  # that a launcher may take between two questions: its file system may be slow


@dataclass(frozen=True, slots=True)
class Owner:
    """key: random, tells one owner from the next; start_ticks: start time of the process in clock ticks (proc(5))."""

    key: str
    host: str
    boot_id: str
    pid: int
    start_ticks: int

    @staticmethod
    def current() -> "Owner":
        return Owner(os.urandom(8).hex(), os.uname().nodename, _boot_id(), os.getpid(), start_ticks(os.getpid()) or 0)

    def is_local(self) -> bool:
        """Whether it is, or was, a process of this machine since its last start."""
        return self.boot_id == _boot_id() and self.host == os.uname().nodename

    def is_alive(self) -> bool | None:
        """Of a local owner: whether its process is still the same; None where /proc does not show it (hidepid)."""
        found = start_ticks(self.pid)
        if found is None and start_ticks(1) is None:
            return None
        return found == self.start_ticks


class RunInUse(UsageError):
    """Another run is at work in the directory."""


class Lease:
    """Held from `acquire` to `release`; a thread renews it."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path = path
        self._owner = owner
        self._renewals = 0
        self._last_renewal = _now()
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew_until_released, name="mpibatch-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Before anything is written. Raises StoppedEarly where another owner has taken over."""
        if _now() - self._last_renewal > LEASE_SECONDS / 2 and not self._lost:
            self._lost = not self._is_mine()
        if self._lost:
            raise StoppedEarly(
                f"another run has taken over {self._path.parent} while this one could not write there for "
                f"{LEASE_SECONDS / 2:g} s or longer (lease_ttl); this one stops without writing anything more"
            )

    def renew(self) -> None:
        """Shows that the owner is still there, unless it has been taken over."""
        began = _now()
        with contextlib.suppress(OSError):  # a file system that is away for a moment: `check` judges by the clock
            if self._is_mine():
                self._renewals += 1
                _write(_renewals_path(self._path, self._owner), str(self._renewals))
                self._last_renewal = began
            else:
                self._lost = True

    def release(self) -> None:
        """Ends the lease, so that whoever comes next need not wait."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            _renewals_path(self._path, self._owner).unlink(missing_ok=True)
            if not self._lost and self._is_mine():
                self._path.unlink(missing_ok=True)
                for takeover in self._path.parent.glob(".owner.*.takeover"):
                    takeover.unlink(missing_ok=True)

    def _is_mine(self) -> bool:
        """An owner.json that cannot be read is no proof of a successor."""
        other = _read(self._path)
        return other is None or other.key == self._owner.key

    def _renew_until_released(self) -> None:
        while not self._stop.wait(RENEW_SECONDS) and not self._lost:
            self.renew()


class LeaseMonitor:
    """Whether anybody is at work in a run directory, as its launcher sees it: the owner renews its lease.

    Between the start and the first renewal, and between the last one and the end, there may be none for `limit` seconds
    too. A gap in the own time (the machine was suspended) is no silence, nor is one in which nobody can write there.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self._path = folder / "owner.json"
        self.limit = limit
        self._probe = _WriteProbe(folder / f".launcher.{os.getpid()}.probe")
        before = _read(self._path)
        self._owner_before = None if before is None else before.key
        self._has_owner = False
        self._seen: tuple[str, str | None] | None = None
        self._clock = AwakeClock(_now, nap=WATCH_SECONDS)
        self._since = self._clock()

    def has_owner(self) -> bool:
        """Whether somebody has become the owner since construction."""
        if not self._has_owner:
            owner = _read(self._path)
            self._has_owner = owner is not None and owner.key != self._owner_before
        return self._has_owner

    def expired(self) -> bool:
        """To be asked about once a second."""
        now, owner = self._clock(), _read(self._path)
        seen = None if owner is None else (owner.key, _text(_renewals_path(self._path, owner)))
        if seen != self._seen or self._probe.is_stalled():
            self._seen, self._since = seen, now
        return now - self._since > self.limit

    def close(self) -> None:
        self._probe.stop()


class _WriteProbe:
    """Whether this process gets anything written: a thread rewrites a file of its own every RENEW_SECONDS."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answered = _now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_until_stopped, name="mpibatch-probe", daemon=True)
        self._thread.start()

    def is_stalled(self) -> bool:
        """Whether the file system has not answered for so long that an owner's renewals may be waiting too."""
        return _now() - self._answered > LEASE_SECONDS / 2

    def stop(self) -> None:
        """Waits a moment for the file to be removed, and not for a file system that does not answer."""
        self._stop.set()
        self._thread.join(RENEW_SECONDS)

    def _write_until_stopped(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            with contextlib.suppress(OSError):  # an answer too
                _write(self._path, "")
            self._answered = _now()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def acquire(
    folder: Path, wait: Callable[[float], None] = time.sleep, notify: Callable[[str], None] = lambda text: None
) -> Lease:
    """Makes this process the owner of the run directory.

    Waits up to LEASE_SECONDS where only its renewals can tell whether the last owner is still there: it was on another
    machine, its process cannot be seen, or what it wrote cannot be read.
    Raises RunInUse where another owner is at work, RunDirectoryError where nothing can be written.
    """
    path = folder / "owner.json"
    me = Owner.current()
    try:
        while not (_create(path, me) or _take_over(path, me, wait, notify)):
            wait(0.01)
    except OSError as error:
        raise RunDirectoryError(
            f"cannot write {path}: {error.strerror}. Is the run directory there and writable, and is there room?"
        ) from error
    return Lease(path, me)


def is_owned(folder: Path) -> bool | None:
    """Whether a run is at work in the directory, without waiting or writing. None: nobody has owned it, or no more.

    An owner on another machine is judged by the time of its last renewal, which the file server's clock has set.
    """
    owner = _read(folder / "owner.json")
    if owner is None:
        return None
    while (successor := _read(_takeover_path(folder / "owner.json", owner))) is not None:
        owner = successor
    if owner.is_local():
        return owner.is_alive()
    try:
        renewed = _renewals_path(folder / "owner.json", owner).stat().st_mtime
    except OSError:
        renewed = 0.0
    return time.time() - renewed < 3 * LEASE_SECONDS


def ensure_unowned(folder: Path, wait: Callable[[float], None] = time.sleep) -> None:
    """Raises RunInUse where a run is at work in the directory."""
    path = folder / "owner.json"
    owner = _read(path)
    if owner is not None:
        _ensure_dead(path, owner, wait, lambda text: None)


def read_owner(folder: Path) -> Owner | None:
    """Who is, or was, at work in the run directory; None where nobody is."""
    return _read(folder / "owner.json")


def _take_over(path: Path, me: Owner, wait: Callable[[float], None], notify: Callable[[str], None]) -> bool:
    """Takes over from an owner that is gone; False where another was quicker. Raises RunInUse, OSError."""
    first = _read(path)
    if first is None:
        _remove_unreadable(path, me, wait)
        return False
    last = first
    while (successor := _read(_takeover_path(path, last))) is not None:  # one that died while it took over
        last = successor
    _ensure_dead(path, last, wait, notify)
    takeover = _takeover_path(path, last)
    if not _create(takeover, me):
        return False
    now = _read(path)
    if now is None or now.key != first.key:  # it was released or taken over before the takeover file was made
        takeover.unlink(missing_ok=True)
        return False
    _write(path, json.dumps(asdict(me)))
    _renewals_path(path, last).unlink(missing_ok=True)
    return True


def _remove_unreadable(path: Path, me: Owner, wait: Callable[[float], None]) -> None:
    """Puts an owner.json aside that nobody can read (a full disk left it empty), unless its owner is still there.

    Returns early where it is gone or can be read after all. Raises RunInUse where anybody's lease is renewed, OSError.
    """
    before = _all_renewals(path)
    until = _now() + LEASE_SECONDS
    while _now() < until:
        if not path.exists() or _read(path) is not None:
            return
        wait(RENEW_SECONDS / 2)
        if _all_renewals(path) != before:
            raise RunInUse(
                f"{path.parent} is in use: {path.name} cannot be read, but its owner renews its lease. Wait until that "
                "run has ended."
            )
    path.rename(path.with_name(f".owner.{me.key}.unreadable"))


def _all_renewals(path: Path) -> dict[str, str | None]:
    """Every renewal in the folder: a change shows that some owner is alive."""
    return {file.name: _text(file) for file in path.parent.glob(".owner.*.renewals")}


def _ensure_dead(path: Path, other: Owner, wait: Callable[[float], None], notify: Callable[[str], None]) -> None:
    alive = other.is_alive() if other.is_local() else None
    if alive is None:
        notify(
            f"{path} names an owner on {other.host}; waiting up to {LEASE_SECONDS:g} s to see whether it is still "
            "there (lease_ttl)"
        )
        until = _now() + LEASE_SECONDS
        before = _text(_renewals_path(path, other))
        while not alive and _now() < until and path.exists():
            wait(RENEW_SECONDS / 2)
            alive = _text(_renewals_path(path, other)) not in (before, None)
    if alive:
        raise RunInUse(
            f"{path.parent} is in use by process {other.pid} on {other.host}. Wait until that run has ended, or stop "
            "it (SIGTERM lets it end in order)."
        )


def _renewals_path(path: Path, owner: Owner) -> Path:
    return path.with_name(f".owner.{owner.key}.renewals")


def _takeover_path(path: Path, owner: Owner) -> Path:
    return path.with_name(f".owner.{owner.key}.takeover")


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
    """Atomically, not durably: a renewal that a crash of the machine takes back was the last."""
    with replacing(path, durable=False) as file:
        file.write(text.encode("ascii"))


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
