"""What a run is made with besides its inputs, so that a resume knows whether it is still the same.

Job --Fingerprints.of--> run.json          the script by its content, side inputs and models by their files' stat
"""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from mpibatch.config.schema import Job, SideInput
from mpibatch.config.script_modules import script_files
from mpibatch.errors import ScriptError

MOST_FILES = 100_000  # of one side input that are looked at: each costs a question to the file system


@dataclass(frozen=True, slots=True)
class FilesFingerprint:
    """A file or folder: how many files and bytes, when the newest was written (ns since the epoch), and a digest of
    all their names, sizes and times. model: NAME:VERSION where it is one."""

    files: int
    bytes: int
    newest: int
    digest: str
    model: str = ""

    @staticmethod
    def of(side: SideInput) -> "FilesFingerprint":
        digest, files, total, newest = hashlib.sha256(), 0, 0, 0
        for name, found in _stats(side.path):
            files, total, newest = files + 1, total + found.st_size, max(newest, found.st_mtime_ns)
            digest.update(f"{name}\0{found.st_size} {found.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            if files == MOST_FILES:
                break
        return FilesFingerprint(files, total, newest, digest.hexdigest(), side.model or "")

    def difference(self, now: "FilesFingerprint") -> str:
        """What has changed, in words; "" if nothing has."""
        if now == self:
            return ""
        if now.model != self.model:
            return f"it was {self.model or 'no model'}, and is {now.model or 'no model'}"
        if not now.files:
            return "it is gone"
        if now.files != self.files:
            return f"it had {self.files} files, and has {now.files}"
        if now.bytes != self.bytes:
            return f"it had {self.bytes} bytes, and has {now.bytes}"
        written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now.newest / 1e9))
        return "it was written to" + (f" at {written}" if now.newest > self.newest else "")


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """script: of each file that the entry script is made of, relative to source_directory, the SHA-256 of its content
    side_inputs: by name
    """

    script: dict[str, str] = field(default_factory=dict)
    side_inputs: dict[str, FilesFingerprint] = field(default_factory=dict)

    @staticmethod
    def of(job: Job) -> "Fingerprints":
        """As everything is now."""
        sides = {side.name: FilesFingerprint.of(side) for side in job.side_inputs}
        return Fingerprints(_script(job.config.source_directory, job.config.entry_script), sides)

    def changed_script(self, now: "Fingerprints") -> list[str]:
        """Files of the script that are others now, came or went."""
        names = sorted(self.script.keys() | now.script.keys())
        return [name for name in names if self.script.get(name) != now.script.get(name)]

    def changed_side_inputs(self, now: "Fingerprints") -> dict[str, str]:
        """What has changed in each side input that has changed, in words."""
        both = self.side_inputs.keys() & now.side_inputs.keys()
        found = {name: self.side_inputs[name].difference(now.side_inputs[name]) for name in sorted(both)}
        return {name: change for name, change in found.items() if change}


def _script(source_directory: str, entry_script: str) -> dict[str, str]:
    found = {}
    try:
        for path in script_files(source_directory, entry_script):
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            name = os.path.relpath(path, source_directory)
            found[name.encode("utf-8", "backslashreplace").decode()] = digest
    except (ScriptError, OSError):  # executors say what is wrong with it
        pass
    return found


def _stats(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Each file at or below `path`, in the order of their names; those that cannot be looked at are left out."""
    if not os.path.isdir(path):
        try:
            yield "", os.stat(path)
        except OSError:
            return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            try:
                yield os.path.relpath(os.path.join(folder, name), path), os.stat(os.path.join(folder, name))
            except OSError:
                continue
