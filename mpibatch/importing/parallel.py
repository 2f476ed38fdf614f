"""The settings of a v2 parallel job as `parallel_run_config`; where v2 has another default, it is written out."""

import re
from pathlib import PurePath
from typing import Any

from mpibatch.importing.components import Node
from mpibatch.importing.expressions import REFERENCE
from mpibatch.importing.notes import Imported

_RETRIES = 2  # v2's default of max_retries
_SUFFIXES = (".txt", ".csv", ".jsonl", ".parquet", ".arrow")


def parallel_run_config(where: str, node: Node, made: Imported) -> dict[str, Any]:
    """All of it but what stands in program_arguments."""
    data = node.data
    task = data.get("task") or {}
    retry = data.get("retry_settings") or {}
    made.leave_out(f"{where}.task", task, {"type", "code", "entry_script", "program_arguments", "append_row_to"})
    made.leave_out(f"{where}.retry_settings", retry, {"max_retries", "timeout"})
    resources = data.get("resources") or {}
    made.leave_out(f"{where}.resources", resources, {"instance_count"})
    config: dict[str, Any] = {
        "source_directory": str(node.path(task.get("code") or ".")),
        "entry_script": task.get("entry_script"),
        "error_threshold": int(data.get("error_threshold", -1)),
        "allowed_failed_count": int(data.get("mini_batch_error_threshold", -1)),
        "run_max_try": int(retry.get("max_retries", _RETRIES)) + 1,
        "run_invocation_timeout": int(retry.get("timeout", 60)),
        "node_count": int(resources.get("instance_count", 1)),
        "process_count_per_node": int(data.get("max_concurrency_per_instance", 1)),
        **_output(node),
    }
    if data.get("logging_level"):
        config["logging_level"] = str(data["logging_level"]).upper()
    if data.get("environment_variables"):
        config["environment_variables"] = {key: str(value) for key, value in data["environment_variables"].items()}
    if data.get("partition_keys"):
        config["partition_keys"] = list(data["partition_keys"])
    elif data.get("mini_batch_size") is not None:
        size = str(data["mini_batch_size"])
        config["mini_batch_size"] = int(size) if size.isdecimal() else re.sub(r"[kmgt]?b$", _upper, size)
    return config


def _upper(match: re.Match[str]) -> str:
    return match[0].upper()


def _output(node: Node) -> dict[str, Any]:
    """append_row where the job says to which output; the file has the name that the output's path ends in."""
    target = (node.data.get("task") or {}).get("append_row_to")
    if not target:
        return {"output_action": "summary_only"}
    names = [match[1].split(".")[-1] for match in REFERENCE.finditer(str(target))]
    declared = node.outputs().get(names[0]) if names else None
    path = PurePath(str(declared.get("path", ""))).name if isinstance(declared, dict) else ""
    named = {"append_row_file_name": path} if path.endswith(_SUFFIXES) and "$" not in path else {}
    return {"output_action": "append_row", **named}
