"""A v2 pipeline, parallel or command job as a pipeline of ours.

    node (inline, or `component:` and its own keys) --> inputs: values, data, outputs of others --> a step

v2's thresholds and retries are put into our words: `max_retries` counts retries, `run_max_try` tries.
"""

import os
from pathlib import Path
from typing import Any

from mpibatch.importing.components import Node, merge_component
from mpibatch.importing.data import DataInput, literal, read_data
from mpibatch.importing.expressions import REFERENCE, arguments
from mpibatch.importing.names import step_name
from mpibatch.importing.notes import Imported, ImportProblem
from mpibatch.importing.parallel import parallel_run_config

_PIPELINE_KEYS = {"$schema", "type", "jobs", "inputs", "outputs", "description", "display_name", "experiment_name"}
_PIPELINE_KEYS |= {"name", "settings", "tags", "properties"}
_NODE_KEYS = {"$schema", "type", "component", "inputs", "outputs", "task", "command", "code", "name", "display_name"}
_NODE_KEYS |= {"description", "version", "is_deterministic", "environment_variables", "input_data", "resources"}
_NODE_KEYS |= {"mini_batch_size", "mini_batch_error_threshold", "error_threshold", "retry_settings", "logging_level"}
_NODE_KEYS |= {"max_concurrency_per_instance", "partition_keys", "experiment_name", "tags", "properties"}
_UNUSED = {"--progress_update_timeout", "--task_overhead_timeout", "--first_task_creation_timeout"}
_UNUSED |= {"--copy_logs_to_parent", "--resource_monitor_interval"}


def import_job(data: dict[str, Any], folder: Path, stem: str) -> Imported:
    """folder: where relative paths begin. Raises ImportProblem and JobFileError."""
    if data.get("type") != "pipeline" and "jobs" not in data:
        data = {"type": "pipeline", "jobs": {str(data.get("name") or stem): data}}
    made = Imported()
    name = str(data.get("name") or data.get("display_name") or data.get("experiment_name") or stem)
    made.data = {"name": step_name(name, set()), "parameters": {}, "steps": []}
    _Pipeline(data, folder, made).add_steps()
    made.leave_out("", data, _PIPELINE_KEYS)
    settings = data.get("settings") or {}
    made.leave_out("settings", settings, {"continue_on_step_failure"})
    if "continue_on_step_failure" in settings:
        made.data["continue_on_step_failure"] = bool(settings["continue_on_step_failure"])
    return made


class _Pipeline:
    """What the steps of one pipeline share: its inputs, and what each step's outputs are called."""

    def __init__(self, data: dict[str, Any], folder: Path, made: Imported) -> None:
        self._made = made
        self._folder = folder
        taken: set[str] = set()
        self._nodes = {
            name: merge_component(name, node, folder, made) for name, node in (data.get("jobs") or {}).items()
        }
        if not self._nodes:
            raise ImportProblem("the pipeline has no jobs")
        self._steps = {name: step_name(name, taken) for name in self._nodes}
        self._inputs = {
            name: read_data(f"inputs.{name}", value, folder, made) for name, value in (data.get("inputs") or {}).items()
        }
        for name, value in self._inputs.items():
            if isinstance(value, DataInput) and value.model is None:
                self._made.data["parameters"][name] = value.to_input()
            elif value is not None and not isinstance(value, DataInput):
                self._made.data["parameters"][name] = value

    def add_steps(self) -> None:
        for name, node in self._nodes.items():
            self._made.leave_out(f"jobs.{name}", node.data, _NODE_KEYS)
            step = self._parallel(name, node) if node.kind == "parallel" else self._command(name, node)
            self._made.data["steps"].append(step)

    # -- the two kinds of steps

    def _parallel(self, name: str, node: Node) -> dict[str, Any]:
        where = f"jobs.{name}"
        task = node.data.get("task") or {}
        values = self._values(name, node)
        main = [match[1].split(".")[1] for match in REFERENCE.finditer(str(node.data.get("input_data", "")))]
        if len(main) != 1 or main[0] not in values:
            raise ImportProblem(f"{where}: input_data is {node.data.get('input_data')!r}; it must be one of its inputs")
        config = parallel_run_config(where, node, self._made)
        given, sides = self._side_inputs({key: value for key, value in values.items() if key != main[0]})
        extra = str(task.get("program_arguments") or "")
        step: dict[str, Any] = {
            "name": self._steps[name],
            "inputs": {main[0]: _as_input(values[main[0]])},
            "parallel_run_config": config,
        }
        words = arguments(extra, given, lambda output: self._own_output(name, output), where)
        words = take_settings(words, config, where, self._made)
        return {**step, **({"side_inputs": sides} if sides else {}), **({"arguments": words} if words else {})}

    def _command(self, name: str, node: Node) -> dict[str, Any]:
        where = f"jobs.{name}"
        given, sides = self._side_inputs(self._values(name, node))
        command = str(node.data.get("command") or "")
        words = arguments(command, given, lambda output: self._own_output(name, output), where)
        if len(words) < 2 or not os.path.basename(words[0]).startswith("python") or not words[1].endswith(".py"):
            raise ImportProblem(f"{where}: its command is {command!r}; a script step runs `python SCRIPT.py ARGUMENTS`")
        step: dict[str, Any] = {
            "name": self._steps[name],
            "script": words[1],
            "source_directory": str(node.path(node.data.get("code") or ".")),
            "arguments": words[2:],
        }
        variables = {key: str(value) for key, value in (node.data.get("environment_variables") or {}).items()}
        step.update({"environment_variables": variables} if variables else {})
        return {**step, **({"side_inputs": sides} if sides else {})}

    # -- inputs and outputs

    def _values(self, name: str, node: Node) -> dict[str, Any]:
        """What each input of a node is: a DataInput, a reference of ours, a scalar, or None."""
        values = {}
        for key, value in node.inputs().items():
            where = f"jobs.{name}.inputs.{key}"
            path = value.get("path") if isinstance(value, dict) else value
            reference = REFERENCE.fullmatch(path.strip()) if isinstance(path, str) else None
            if reference is not None:
                values[key] = self._look_up(reference[1], where, _kind(value) or _kind(node.declared.get(key)))
            else:
                values[key] = read_data(where, value, node.folder if node.own(key) else self._folder, self._made)
        return values

    def _look_up(self, reference: str, where: str, kind: object) -> Any:
        parts = reference.split(".")
        if parts[:2] == ["parent", "inputs"] and parts[2] in self._inputs:
            value = self._inputs[parts[2]]
            if value is None or (isinstance(value, DataInput) and value.model):
                return value
            return _Reference(f"parameters.{parts[2]}", value)
        if parts[:2] == ["parent", "jobs"] and len(parts) == 5 and parts[2] in self._steps:
            made_as = _kind(self._nodes[parts[2]].outputs().get(parts[4]))
            is_table = "mltable" in (kind, made_as)
            return _Reference(self._output(parts[2]), None, self._below(parts[2], parts[4]), is_table)
        raise ImportProblem(f"{where}: ${{{{{reference}}}}} leads nowhere")

    def _side_inputs(self, values: dict[str, Any]) -> tuple[dict[str, str | None], dict[str, Any]]:
        """What stands for each in arguments; and the step's side_inputs."""
        given: dict[str, str | None] = {}
        sides: dict[str, Any] = {}
        for key, value in values.items():
            if isinstance(value, _Reference) and isinstance(value.value, DataInput):
                sides[key] = value.value.to_side_input()
            elif isinstance(value, DataInput):
                sides[key] = value.to_side_input()
            elif isinstance(value, _Reference) and value.value is None:
                given[key] = str(value)
                continue
            else:
                given[key] = None if value is None else str(value)
                continue
            given[key] = f"${{{{ side_inputs.{key} }}}}"
        return given, sides

    def _own_output(self, name: str, output: str) -> str:
        return f"${{{{ {self._output(name)} }}}}{self._below(name, output)}"

    def _output(self, name: str) -> str:
        return f"steps.{self._steps[name]}.output"

    def _below(self, name: str, output: str) -> str:
        """A file output is a file in the folder; that of rows is the append_row file."""
        node = self._nodes[name]
        if node.kind == "parallel" and output in str((node.data.get("task") or {}).get("append_row_to")):
            file = parallel_run_config(name, node, Imported()).get("append_row_file_name", "parallel_run_step.txt")
            return f"/{file}"
        declared = self._nodes[name].outputs().get(output)
        return f"/{output}" if isinstance(declared, dict) and declared.get("type") == "uri_file" else ""


class _Reference:
    """A reference of ours, the value behind it where that is known, and the path below it. is_table: to an MLTable."""

    def __init__(self, target: str, value: Any, below: str = "", is_table: bool = False) -> None:
        self.target = target
        self.value = value
        self.below = below
        self.is_table = is_table

    def __str__(self) -> str:
        return f"${{{{ {self.target} }}}}{self.below}"


def _as_input(value: Any) -> Any:
    """As an entry of `inputs:`."""
    if isinstance(value, DataInput):
        return value.to_input()
    if isinstance(value, _Reference) and value.value is None:
        return {"type": "mltable" if value.is_table else "files", "path": str(value)}
    return str(value)


def _kind(entry: object) -> object:
    """The type that an input or output says it has."""
    return entry.get("type") if isinstance(entry, dict) else None


def take_settings(words: list[str], config: dict[str, Any], where: str, made: Imported) -> list[str]:
    """The script's own words; those that are settings of the runner go to `config`."""
    kinds = {"--error_threshold": int, "--allowed_failed_percent": float, "--allowed_failed_count": int}
    rest, position = [], 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        known = name in kinds or name in _UNUSED
        if known and not equals and position + 1 < len(words):
            position, value = position + 1, words[position + 1]
        if name in kinds:
            config[name.removeprefix("--")] = kinds[name](literal(value))
        elif name in _UNUSED:
            made.note(where, f"{name} {value} has no counterpart")
        else:
            rest.append(words[position])
        position += 1
    return rest
