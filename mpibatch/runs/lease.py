"""One owner: who writes in a run directory, and proof that nobody else does.

    owner.json {epoch, host, boot id, pid, beat} --beat every BEAT_SECONDS, by a thread--> seen by whoever comes second

A second run is refused while the owner's process lives (same machine) or its beat advances (another). It takes over
when the beat has stood still for LEASE_SECONDS; and an owner that could not beat for half as long (stopped, cut off
from the file system) finds out, before it writes again, whether it has been taken over. No file locks: network file
systems do not all have them.
"""

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
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
    beat: int = 0

    @staticmethod
    def me() -> "Owner":
        return Owner(secrets.token_hex(8), os.uname().nodename, _boot_id(), os.getpid(), _began(os.getpid()) or 0)

    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine since its last start."""
        return self.boot_id == _boot_id() and self.host == os.uname().nodename

    def lives(self) -> bool:
        """Of an owner that is here: whether its process is still the same."""
        return _began(self.pid) == self.began


class Lease:
    """Held from `acquire` to `release`; a thread beats."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path = path
        self._owner = owner
        self._last_beat = time.monotonic()
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, name="mpibatch-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Before anything is written. Raises StoppedEarly where another owner has taken over."""
        if time.monotonic() - self._last_beat > LEASE_SECONDS / 2 and not self._lost:
            self._lost = not self._is_mine()
        if self._lost:
            raise StoppedEarly(
                f"another run has taken over {self._path.parent} while this one could not write there for "
                f"{LEASE_SECONDS:g} s; this one stops without writing anything more"
            )

    def _is_mine(self) -> bool:
        other = _read(self._path)
        return other is None or other.key == self._owner.key

    def release(self) -> None:
        self._stop.set()
        self._thread.join()
        if not self._lost:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _beat(self) -> None:
        number = self._owner.beat
        while not self._stop.wait(BEAT_SECONDS):
            began = time.monotonic()
            number += 1
            with contextlib.suppress(OSError):  # a file system that is away for a moment: `check` judges by the clock
                if not self._is_mine():
                    self._lost = True
                    return
                _replace(self._path, replace(self._owner, beat=number))
                self._last_beat = began


def acquire(
    directory: RunDirectory, wait: Callable[[float], None] = time.sleep, tell: Callable[[str], None] = lambda text: None
) -> Lease:
    """Makes this process the owner of the run directory.

    Waits up to LEASE_SECONDS where the last owner was on another machine and has not said goodbye.
    Raises UsageError where another owner is at work, RunDirectoryError where nothing can be written.
    """
    path = directory.path / "owner.json"
    me = Owner.me()
    while True:
        try:
            _create(path, me)
            return Lease(path, me)
        except FileExistsError:
            other = _read(path)
        except OSError as error:
            raise RunDirectoryError(f"cannot write {path}: {error.strerror}. Is the run directory writable?") from error
        if other is not None:
            _refuse_if_alive(path, other, wait, tell)
        _set_aside(path)


def _refuse_if_alive(path: Path, other: Owner, wait: Callable[[float], None], tell: Callable[[str], None]) -> None:
    if other.is_here():
        alive = other.lives()
    else:
        tell(
            f"{path} names an owner on {other.host}; waiting up to {LEASE_SECONDS:g} s to see whether it is still there"
        )
        alive = False
        until = time.monotonic() + LEASE_SECONDS
        while not alive and time.monotonic() < until:
            wait(BEAT_SECONDS / 2)
            now = _read(path)
            alive = now is not None and now != other
    if alive:
        raise UsageError(
            f"{path.parent} is in use by process {other.pid} on {other.host}. Wait until that run has ended, or stop "
            "it (SIGTERM lets it end in order)."
        )


def _set_aside(path: Path) -> None:
    """Out of the way by a rename, of which only one of two successors can be the doer; the other tries again."""
    aside = path.with_name(f".owner.{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        aside.unlink()


def _create(path: Path, owner: Owner) -> None:
    """Exclusively, and with its content from the first moment on: a link is atomic on network file systems too."""
    temporary = path.with_name(f".owner.{owner.key}")
    temporary.write_text(json.dumps(asdict(owner)), encoding="ascii")
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()


def _replace(path: Path, owner: Owner) -> None:
    temporary = path.with_name(f".owner.{owner.key}")
    temporary.write_text(json.dumps(asdict(owner)), encoding="ascii")
    temporary.replace(path)


def _read(path: Path) -> Owner | None:
    """The owner as written; None where there is none or it cannot be read."""
    try:
        return Owner(**json.loads(path.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _began(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat; None where there is no such process, or only what its parent has not buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
