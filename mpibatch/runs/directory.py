"""The run directory: where each file of a run is, and how a small one is replaced without ever being half there."""

import contextlib
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpibatch.errors import RunDirectoryError


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Names of DESIGN section 7 below `path`, an absolute folder."""

    path: Path

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def plan(self) -> Path:
        return self.path / "plan.parquet"

    @property
    def outputs(self) -> Path:
        return self.path / "outputs"

    @property
    def output_files(self) -> Path:
        """MPIBATCH_OUTPUT_DIR: what scripts write themselves."""
        return self.path / "outputs" / "files"

    @property
    def failed_items(self) -> Path:
        return self.path / "failed_items.jsonl"

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def events(self) -> Path:
        return self.path / "events.bin"

    @property
    def error_log(self) -> Path:
        return self.path / "logs" / "user" / "error.txt"

    def results(self, epoch: int) -> Path:
        return self.path / f"results.{epoch}.log"

    def rank_log(self, stream: str, host: str, rank: int) -> Path:
        """`stream`: user/stdout, user/stderr, user/entry_script_log or sys."""
        return self.path / "logs" / stream / host / f"rank{rank}.txt"


def create(parent: Path) -> RunDirectory:
    """A fresh `<UTC time>-<short id>` below `parent`, and `latest` pointing to it."""
    directory = create_at(parent / fresh_name())
    point_latest_at(directory.path)
    return directory


def fresh_name() -> str:
    """`<UTC time>-<short id>`: sorts by age, and no two runs share one."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def point_latest_at(path: Path) -> None:
    """`latest` beside the run directory `path`; the run is no worse where there can be none."""
    link = path.with_name(f".latest-{secrets.token_hex(4)}")
    try:
        link.symlink_to(path.name)
        link.replace(path.with_name("latest"))
    except OSError:  # a file system without links, or a folder called `latest`
        link.unlink(missing_ok=True)


def create_at(path: Path) -> RunDirectory:
    """The run directory at `path`, which may exist empty. Raises RunDirectoryError where it cannot be made."""
    directory = RunDirectory(path.absolute())
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        directory.output_files.mkdir(parents=True, exist_ok=True)
        directory.error_log.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(
            f"cannot make the run directory {directory.path}: {error.strerror}. "
            "Is the parent folder there and writable? Choose another with --output DIR."
        ) from error
    return directory


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replaces `path` atomically: readers see the old text or the new one. Raises RunDirectoryError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    try:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))  # of a path that is no UTF-8: escapes
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> RunDirectoryError:
    """What to tell of a file in a run directory that could not be written."""
    if not path.parent.exists():
        return RunDirectoryError(
            f"{path.parent} is gone: it was deleted, or its file system is away, while the run was at work"
        )
    return RunDirectoryError(
        f"cannot write {path}: {error.strerror or error}. The results log has all that was done before: make room, or "
        "make it writable, then go on with `mpibatch resume`."
    )


def read_json(path: Path) -> dict[str, Any]:
    """Raises RunDirectoryError where the file is missing or is no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"cannot read {path}: {error}. Is {path.parent} a run directory?") from error
    if not isinstance(value, dict):
        raise RunDirectoryError(f"{path} holds no JSON object. Is {path.parent} a run directory?")
    return value
