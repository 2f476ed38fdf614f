"""A v1 parallel_run_config YAML, as ParallelRunConfig.load_yaml reads it, as a job.

Its paths are relative to the working directory, as they are for Azure. Inputs are not in it: they were in the program.
"""

import os
from typing import Any

from mpibatch.importing.names import step_name
from mpibatch.importing.notes import Imported

_SAME = (
    "entry_script",
    "error_threshold",
    "allowed_failed_count",
    "allowed_failed_percent",
    "output_action",
    "append_row_file_name",
    "logging_level",
    "environment_variables",
)
_NUMBERS = ("node_count", "process_count_per_node", "run_invocation_timeout", "run_max_try", "error_threshold")


def import_config(data: dict[str, Any], stem: str) -> Imported:
    """stem: the file's name, for the job's. `run_max_try` counts tries, here as there."""
    made = Imported()
    config = {key: data[key] for key in (*_SAME, *_NUMBERS) if data.get(key) is not None}
    for key in _NUMBERS:
        if isinstance(config.get(key), str) and config[key].strip().lstrip("-").isdecimal():
            config[key] = int(config[key])
    config["source_directory"] = os.path.abspath(str(data.get("source_directory") or "."))
    config.setdefault("process_count_per_node", 1)
    size = data.get("mini_batch_size")
    if size is not None:
        config["mini_batch_size"] = int(size) if str(size).isdecimal() else size
    if data.get("partition_keys"):
        config["partition_keys"] = list(data["partition_keys"])
        config.pop("mini_batch_size", None)
    made.data = {
        "name": step_name(stem, set()),
        "inputs": {"data": {"type": "files", "path": os.path.abspath("data")}},
        "parallel_run_config": config,
    }
    made.note("inputs", "the file names none, they were in the program; edit inputs.data")
    made.leave_out("", data, {*config, "mini_batch_size", "description", "source_directory", "partition_keys"})
    return made
