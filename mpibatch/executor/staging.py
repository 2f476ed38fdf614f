"""Side inputs with `stage: node`: copied to node-local disk once per node, removed when the run is over there.

    rank       decides where each copy belongs --ExecutorSpec--> executors
    executor   while it lives, holds `users` locked (shared); the first one copies, the others wait for its lock
    rank       at its end locks `users` for itself: the last one on the node can, and removes the folder

    <TMPDIR or /tmp>/mpibatch-<user>-<run>/    mode 0700 and the user's own, since /tmp is everybody's
        users  copying                         locks, which the kernel lets go of when their holder dies
        <name>-<fingerprint>/<the copy>        has another name until it is whole

Executors copy, and not their ranks: a rank that copies for minutes would seem dead, and an executor's watchdog ends
what takes longer than init_timeout.
"""

import fcntl
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from mpibatch.config.choices import Stage
from mpibatch.config.schema import Job
from mpibatch.config.values import REFERENCE
from mpibatch.errors import MpibatchError

USERS_LOCK, COPY_LOCK = "users", "copying"


@dataclass(frozen=True, slots=True)
class StagedInput:
    """One side input. source: where it is; copy: where executors find it, two levels below the run's folder."""

    name: str
    source: str
    copy: str


def staged(job: Job, folder: Path) -> tuple[StagedInput, ...]:
    """Where the copies of this node belong. Raises OSError where a source cannot be looked at."""
    return tuple(
        StagedInput(side.name, side.path, str(folder / f"{side.name}-{_fingerprint(side.path)}" / Path(side.path).name))
        for side in job.side_inputs
        if side.stage is Stage.NODE
    )


def staging_dir(run: Path, environment: Mapping[str, str]) -> Path:
    """The folder of one run on this node: the same for all its ranks here, and for a resume."""
    temporary = environment.get("TMPDIR", "")
    parent = temporary if os.path.isdir(temporary) and os.access(temporary, os.W_OK) else "/tmp"
    return Path(parent, f"mpibatch-{os.getuid()}-{blake2b(os.fsencode(run), digest_size=8).hexdigest()}")


def substitute(arguments: Sequence[str], paths: Mapping[str, str]) -> tuple[str, ...]:
    """The script's arguments with `${{ side_inputs.X }}` replaced, for side inputs in `paths`."""
    by_reference = {f"side_inputs.{name}": path for name, path in paths.items()}
    return tuple(REFERENCE.sub(lambda match: by_reference.get(match[1], match[0]), text) for text in arguments)


def ensure_staged(wanted: Sequence[StagedInput]) -> int | None:
    """Sees to it that the copies are there; returns a descriptor to be held open while they are used.

    Raises MpibatchError.
    """
    if not wanted:
        return None
    folder = Path(wanted[0].copy).parents[1]
    users = _lock_shared(folder)
    with open(folder / COPY_LOCK, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for side in wanted:
            if not os.path.lexists(side.copy):
                _copy(side)
    return users


def remove(folder: Path) -> None:
    """Removes the folder, unless an executor of this node still uses it: then that one's rank will."""
    with suppress(OSError), open(folder / USERS_LOCK, "rb") as users:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _lock_shared(folder: Path) -> int:
    """Holds the folder against removal."""
    while True:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise MpibatchError(
                f"{folder}, where side inputs are to be copied, is not this user's own folder; is somebody else "
                "using the name? Set TMPDIR to a folder of your own."
            )
        try:
            users = os.open(folder / USERS_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # removed in between
        fcntl.flock(users, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(users), os.stat(folder / USERS_LOCK)):
                return users
        os.close(users)


def _copy(side: StagedInput) -> None:
    whole = Path(side.copy).parent
    partial = whole.with_name(f".{whole.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an executor that was killed while it copied
    try:
        partial.mkdir()
        if os.path.isdir(side.source):
            shutil.copytree(side.source, partial / Path(side.copy).name)
        else:
            shutil.copy2(side.source, partial / Path(side.copy).name)
        partial.replace(whole)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise MpibatchError(
            f"side input {side.name!r} cannot be copied from {side.source} to {whole}: {error}"
        ) from error


def _fingerprint(path: str) -> str:
    """Changes with the names, sizes and times of what is there, so that a copy of something else is never taken."""
    digest = blake2b(digest_size=8)
    for file in [path, *sorted(os.path.join(top, name) for top, _, names in os.walk(path) for name in names)]:
        found = os.stat(file)
        digest.update(f"{os.path.relpath(file, path)!a} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()
