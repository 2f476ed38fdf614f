"""From a file to `Imported`: which of Azure's formats it is, and where its relative paths begin."""

from pathlib import Path

from mpibatch.config.document import read_document
from mpibatch.importing import v1, v2
from mpibatch.importing.notes import Imported, ImportProblem


def import_file(path: Path) -> Imported:
    """path: a v1 parallel_run_config, or a v2 job or pipeline. Raises ImportProblem and JobFileError."""
    data = read_document(str(path))
    folder = path.absolute().parent
    kind = data.get("type")
    if kind in ("pipeline", "parallel", "command") or "jobs" in data or "task" in data:
        return v2.import_job(data, folder, path.stem)
    if "entry_script" in data:
        return v1.import_config(data, path.stem)
    raise ImportProblem(
        f"{path} is no job file of Azure: neither a v1 parallel_run_config (it has entry_script) nor a v2 job (it has "
        "type: pipeline, parallel or command)"
    )
