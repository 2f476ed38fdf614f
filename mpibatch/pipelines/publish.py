"""What a complete step's named outputs become besides: files at a destination, and datasets of the workspace.

outputs/<folder> --hard links, else copies--> destination       {run-id} in it is the pipeline's run
                 --> {type: files, path: ...} registered as the next version of a dataset
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mpibatch.config.pipeline_schema import StepOptions
from mpibatch.errors import RunDirectoryError
from mpibatch.workspace.datasets import DatasetRegistry
from mpibatch.workspace.home import find_home


def publish(options: StepOptions, outputs: Path, run_id: str, folder: str, env: Mapping[str, str]) -> list[str]:
    """Does what the step's named outputs ask for; what was done, in words.

    outputs: the step's output folder
    folder:  what a relative destination refers to
    Raises RunDirectoryError, WorkspaceError.
    """
    done: list[str] = []
    for output in options.outputs:
        source = outputs / (output.folder or "")
        place = str(source)
        if output.destination is not None:
            place = output.destination.replace("{run-id}", run_id).replace("{output-name}", output.name)
            place = place if "://" in place else str(Path(folder, Path(place).expanduser()))
            done.append(f"{_copy(source, place)} files of {output.name} are at {place}")
        if output.dataset is not None:
            registry = DatasetRegistry(find_home(env))
            entry = registry.register(output.dataset, {"type": "files", "path": place}, create_new_version=True)
            done.append(f"{output.name} is dataset {entry.name}:{entry.version}")
    return done


def _copy(outputs: Path, place: str) -> int:
    files = [path for path in sorted(outputs.rglob("*")) if path.is_file()]
    try:
        for path in files:
            name = path.relative_to(outputs)
            if "://" in place:
                _upload(path, f"{place.rstrip('/')}/{name.as_posix()}")
            else:
                _link(path, Path(place, name))
    except OSError as error:
        raise RunDirectoryError(
            f"the output {outputs} is complete, but could not be put to {place}: {error}. Mend it, and resume the run"
        ) from error
    return len(files)


def _link(path: Path, target: Path) -> None:
    """Replaces what was there: a hard link costs no space; another file system needs a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copy2(path, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _upload(path: Path, url: str) -> None:
    import fsspec

    files, inside = fsspec.core.url_to_fs(url)
    files.makedirs(inside.rpartition("/")[0], exist_ok=True)
    files.put_file(str(path), inside)
