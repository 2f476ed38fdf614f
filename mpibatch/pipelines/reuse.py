"""Whether an earlier step has done the same, and then its output stands for that of a new one.

    what decides the output --fingerprint--> SHA-256 --<parent of the runs>/.reuse/<SHA-256>--> the step's run directory

What decides: the script folder's content, settings that change rows, arguments, inputs and side inputs (path, size and
time of modification of each file; its content with `reuse: strict`), versions of models. What does not: how many ranks
there are, timeouts, where the run lies. Only complete steps are recorded, and only if their inputs are at the end
what they were at the start.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mpibatch.config.pipeline_schema import Reuse, ScriptStep
from mpibatch.config.schema import Input, Job, SideInput
from mpibatch.config.settings import resumable
from mpibatch.datasets.paths import find
from mpibatch.errors import MpibatchError
from mpibatch.files import read_json, write_json
from mpibatch.pipelines.source import hash_folder
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.summary import RunState, Summary

FOLDER = ".reuse"
OWN_OUTPUT = "/its-own-output"
"""Stands for a step's own output folder, which is another in each run."""


def fingerprint(step: Job | ScriptStep, reuse: Reuse) -> str:
    """Of a step whose references are replaced, those to its own output by OWN_OUTPUT. Raises MpibatchError."""
    if isinstance(step, ScriptStep):
        source, script = step.source_directory, step.script
        settings: dict[str, Any] = {"environment_variables": step.environment_variables}
    else:
        source, script = step.config.source_directory, step.config.entry_script
        settings = {name: value for name, value in asdict(step.config).items() if name not in resumable()}
    settings.pop("source_directory", None)
    decides = {
        "kind": type(step).__name__,
        "script": [hash_folder(Path(source), leave_out=Path("/nowhere")), script],
        "settings": settings,
        "arguments": step.arguments,
        "inputs": [[asdict(spec), list(_files_of(spec, reuse))] for spec in step.inputs],
        "side_inputs": [[asdict(side), list(_below(side, reuse))] for side in step.side_inputs],
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def find_earlier(runs: Path, digest: str) -> Path | None:
    """The run directory of a complete step of that fingerprint, below `runs`."""
    with suppress(MpibatchError, KeyError, OSError):
        record = read_json(runs / FOLDER / digest)
        path = runs / str(record["step"])
        directory = RunDirectory(path)
        summary = Summary.read(directory)
        if summary is None or summary.status is not RunState.COMPLETED or not directory.outputs.is_dir():
            return None
        output = summary.output_path(directory)
        return path if output is None or output.exists() else None
    return None


def record(runs: Path, digest: str, step: Path) -> None:
    """Notes that `step`, a run directory below `runs`, is complete and has that fingerprint."""
    folder = runs / FOLDER
    with suppress(OSError, MpibatchError):  # another time it is run again: nothing is lost but time
        folder.mkdir(exist_ok=True)
        write_json(folder / digest, {"step": os.path.relpath(step, runs)}, durable=False)


def _files_of(spec: Input, reuse: Reuse) -> Iterator[list[Any]]:
    if spec.manifest is not None:
        yield _file(os.fsencode(spec.manifest), Reuse.STRICT)
    for path in find(spec):
        yield _file(path, reuse)


def _below(side: SideInput, reuse: Reuse) -> Iterator[list[Any]]:
    """All files of a side input."""
    if not os.path.isdir(side.path):
        yield _file(os.fsencode(side.path), reuse)
    for folder, folders, names in os.walk(side.path):
        folders.sort()
        for name in sorted(names):
            yield _file(os.fsencode(os.path.join(folder, name)), reuse)


def _file(path: bytes, reuse: Reuse) -> list[Any]:
    """What tells whether a file is the same."""
    name = os.fsdecode(path)
    if "://" in name:
        import fsspec

        files, inside = fsspec.core.url_to_fs(name)
        return [name, files.ukey(inside)]
    try:
        if reuse is Reuse.STRICT:
            with open(path, "rb") as file:
                return [name, hashlib.file_digest(file, "sha256").hexdigest()]
        found = os.stat(path)
    except OSError as error:  # it will be reported as a failed item
        return [name, error.strerror]
    return [name, found.st_size, found.st_mtime_ns]
