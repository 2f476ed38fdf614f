"""A crash of the machine at any moment of a run: what was not synced is lost, in part or whole, and the rest resumes.

    python -m tests.runs.power_loss [CRASHES]     prints how many crashes of each format were resumed to the same bytes

A run is worked off in this process while every write, rename, link, removal and sync is noted, with what all files hold
then. A crash leaves of each folder its names at some moment since it was synced last (file systems keep the order of
names), and of each file what it held when it was synced last, or what it held at the crash, or what lies between: only
a part of what was added, or zeros in place of blocks that were never written.
"""

import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpibatch.runs import recovery
from mpibatch.runs.summary import is_complete
from tests.runs.records import ended_run
from tests.runs.resuming import FORMATS, Result, Unattended

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
LAST = 20  # moments, from the summary on and a little before
MUTATING = ("write", "writev", "rename", "replace", "link", "unlink", "ftruncate", "truncate")


@dataclass(frozen=True)
class Moment:
    """names: of each folder, to inodes; contents: of inodes; durable: the same as far as they were synced;
    synced: at which moment each folder was synced last."""

    names: dict[str, dict[str, int]]
    contents: dict[int, bytes]
    durable: dict[int, bytes]
    synced: dict[str, int]


@dataclass
class Recording:
    """All moments of what happened below `folder`."""

    folder: Path
    moments: list[Moment] = field(default_factory=list)
    durable: dict[int, bytes] = field(default_factory=dict)
    synced: dict[str, int] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)

    def note(self) -> None:
        names: dict[str, dict[str, int]] = {}
        contents: dict[int, bytes] = {}
        for path, _, files in os.walk(self.folder):
            found = names.setdefault(os.path.relpath(path, self.folder), {})
            for name in files:
                try:
                    found[name] = os.stat(os.path.join(path, name)).st_ino
                    contents[found[name]] = Path(path, name).read_bytes()
                except FileNotFoundError:  # another thread has removed it
                    found.pop(name, None)
        self.moments.append(Moment(names, contents, dict(self.durable), dict(self.synced)))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While it lasts whatever changes files through the functions of `os` is noted before and after."""
        before = {name: getattr(os, name) for name in (*MUTATING, "fsync")}

        def noted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*words: Any, **named: Any) -> Any:
                with self.lock:
                    result = function(*words, **named)
                    self.note()
                    return result

            return call

        def fsync(descriptor: int) -> None:
            with self.lock:
                self.note()
                self._sync(os.readlink(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor).st_ino)
                self.note()

        for name in MUTATING:
            setattr(os, name, noted(before[name]))
        os.fsync = fsync  # type: ignore[assignment]
        try:
            yield
        finally:
            for name, function in before.items():
                setattr(os, name, function)

    def _sync(self, path: str, inode: int) -> None:
        if os.path.isdir(path):
            self.synced[os.path.relpath(path, self.folder)] = len(self.moments) - 1
        elif inode in self.moments[-1].contents:
            self.durable[inode] = self.moments[-1].contents[inode]

    def crash(self, at: int, folder: Path, chance: random.Random) -> None:
        """Makes `folder` what a crash at moment number `at` leaves."""
        moment = self.moments[at]
        for place in moment.names:
            (folder / place).mkdir(parents=True, exist_ok=True)
            seen = self.moments[chance.randint(moment.synced.get(place, 0), at)]
            for name, inode in seen.names.get(place, {}).items():
                if "owner" not in name:  # a lease of this boot: nobody renews it any more
                    now = moment.contents.get(inode, seen.contents[inode])
                    (folder / place / name).write_bytes(left_of(moment.durable.get(inode, b""), now, chance))


def left_of(durable: bytes, now: bytes, chance: random.Random) -> bytes:
    """What a crash may leave of a file."""
    if durable == now:
        return now
    kind = chance.randrange(4)
    if kind == 0:
        return durable
    if kind == 1:
        return now
    if not now.startswith(durable):
        return chance.choice([durable, now, b""])
    cut = chance.randint(len(durable), len(now))
    return now[:cut] if kind == 2 else now[:cut] + bytes(len(now) - cut)


class Whole(Unattended):
    """It ends as a run does: its output proven, its summary written, and then the log dropped."""

    def end(self, result: Result) -> None:
        ended_run("completed", output=f"outputs/{self.file_name}").write(self.directory)
        for path in self.logs():
            os.unlink(path)


def work(folder: Path, file_name: str) -> Result:
    """Three incarnations, to the end."""
    run = Whole(folder / "run", file_name)
    run.work(stop_after=12)
    run.work(stop_after=9, close=False)
    result = run.work()
    run.end(result)
    return result


def crashes(file_name: str, count: int, seed: int = 0) -> int:
    """How many of `count` crashes at random moments were resumed to the same bytes. Raises AssertionError."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name).resolve()
        recording = Recording(folder)
        with recording.recording():
            expected = work(folder, file_name)
        for number in range(count):
            # every second one is near the end, where it is said to be complete
            at = chance.randrange(max(0, len(recording.moments) - LAST) * (number % 2), len(recording.moments))
            with tempfile.TemporaryDirectory(dir=MEMORY) as other:
                recording.crash(at, Path(other), chance)
                run = Whole(Path(other) / "run", file_name)
                recovery.READ_WHOLE_UP_TO = chance.choice([0, 1 << 30])  # by the index of the log, or by the log itself
                where = f"crash {number} of seed {seed}, at moment {at} of {len(recording.moments)}"
                if is_complete(run.directory):
                    assert run.output.read_bytes() == expected.output, f"{where}: completed, but it is not"
                    assert run.directory.failed_items.read_bytes() == expected.failed_items, where
                else:
                    assert run.work() == expected, where
    return count


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    for file_name in FORMATS:
        print(f"{file_name}: {crashes(file_name, wanted)} crashes, all resumed to the same bytes", flush=True)
