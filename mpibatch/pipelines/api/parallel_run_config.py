"""ParallelRunConfig: how a ParallelRunStep is run; `parallel_run_config` of a job file under Azure's names."""

import json
import os
from pathlib import Path
from typing import Any

import yaml

from mpibatch.errors import UsageError
from mpibatch.pipelines.api.parameter import PipelineParameter
from mpibatch.sdk.notices import notify

_COUNTS = ("node_count", "process_count_per_node", "run_invocation_timeout", "run_max_try")
_FIELDS = (
    "error_threshold",
    "output_action",
    "node_count",
    "process_count_per_node",
    "mini_batch_size",
    "logging_level",
    "run_invocation_timeout",
    "run_max_try",
    "append_row_file_name",
    "allowed_failed_count",
    "allowed_failed_percent",
    "partition_keys",
)
_YAML_NAMES = {"compute_target_name": "compute_target", "environment_name": "environment"}


class ParallelRunConfig:
    """Settings under the names of Azure's; each can be read afterwards.

    entry_script:     relative to source_directory; without one, a path, and its folder is the source_directory
    mini_batch_size:  files: 10 or "10"; tables: "1MB"
    run_max_try:      total tries of a mini-batch
    PipelineParameter may stand for mini_batch_size, node_count, process_count_per_node, run_invocation_timeout,
    run_max_try, logging_level, error_threshold and partition_keys.
    """

    def __init__(
        self,
        environment: Any = None,
        entry_script: Any = None,
        error_threshold: Any = None,
        output_action: Any = None,
        compute_target: Any = None,
        node_count: Any = None,
        process_count_per_node: Any = None,
        mini_batch_size: Any = None,
        source_directory: str | os.PathLike[str] | None = None,
        description: str | None = None,
        logging_level: Any = None,
        run_invocation_timeout: Any = None,
        run_max_try: Any = None,
        append_row_file_name: str | None = None,
        allowed_failed_count: Any = None,
        allowed_failed_percent: Any = None,
        partition_keys: Any = None,
        environment_variables: dict[str, Any] | None = None,
    ) -> None:
        if not entry_script:
            raise UsageError("ParallelRunConfig needs entry_script, the script that defines run(mini_batch)")
        self.environment = environment
        self.entry_script = entry_script
        self.error_threshold = error_threshold
        self.output_action = output_action or "append_row"
        self.compute_target = compute_target
        self.node_count = node_count
        self.process_count_per_node = 1 if process_count_per_node is None else process_count_per_node
        self.mini_batch_size = mini_batch_size
        self.source_directory = source_directory
        self.description = description
        self.logging_level = logging_level or "INFO"
        self.run_invocation_timeout = 60 if run_invocation_timeout is None else run_invocation_timeout
        self.run_max_try = 3 if run_max_try is None else run_max_try
        self.append_row_file_name = append_row_file_name or "parallel_run_step.txt"
        self.allowed_failed_count = allowed_failed_count
        self.allowed_failed_percent = allowed_failed_percent
        self.partition_keys = partition_keys
        self.environment_variables = environment_variables

    def __repr__(self) -> str:
        given = {name: value for name, value in vars(self).items() if value is not None}
        return f"ParallelRunConfig({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    @staticmethod
    def load_yaml(workspace: Any, path: str | os.PathLike[str]) -> "ParallelRunConfig":
        """From a file with Azure's keys; what is not known is passed over with a line. Raises UsageError."""
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UsageError(f"{path} cannot be read as a parallel run config: {error}") from error
        if not isinstance(data, dict):
            raise UsageError(f"{path} holds no mapping; it must be the settings of a ParallelRunConfig")
        known = {*_FIELDS, *_YAML_NAMES, "entry_script", "source_directory", "description", "environment_variables"}
        strange = [str(key) for key in data if key not in known]
        if strange:
            notify(f"{path}: not used here: {', '.join(strange)}")
        given: dict[str, Any] = {_YAML_NAMES.get(str(key), str(key)): data[key] for key in data if key in known}
        return ParallelRunConfig(**given)

    def save_to_yaml(self, path: str | os.PathLike[str]) -> None:
        """Writes what `load_yaml` reads; a PipelineParameter by its default."""
        given = {name: _plain(value) for name, value in vars(self).items() if value is not None}
        for key, name in _YAML_NAMES.items():
            if name in given:
                given[key] = str(getattr(given.pop(name), "name", getattr(self, name)))
        Path(path).write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")

    def locate(self) -> tuple[str, str]:
        """The source_directory, absolute, and the entry script relative to it."""
        if self.source_directory is not None:
            return os.path.abspath(os.fspath(self.source_directory)), str(self.entry_script)
        script = os.path.abspath(str(self.entry_script))
        return os.path.dirname(script), os.path.basename(script)

    def settings(self) -> dict[str, Any]:
        """The settings of `parallel_run_config` that were given, with PipelineParameters in them."""
        given = {name: getattr(self, name) for name in _FIELDS if getattr(self, name) is not None}
        for name in _COUNTS:
            if name in given:
                given[name] = _number(given[name])
        if isinstance(given.get("partition_keys"), str):
            given["partition_keys"] = json.loads(given["partition_keys"])
        variables: dict[str, str] = dict(getattr(self.environment, "variables", dict)())
        variables |= {name: str(value) for name, value in (self.environment_variables or {}).items()}
        return {**given, **({"environment_variables": variables} if variables else {})}


def _number(value: Any) -> Any:
    """Counts may be given as text, also as that of a parameter's default."""
    if isinstance(value, PipelineParameter):
        return PipelineParameter(value.name, _number(value.default_value))
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


def _plain(value: Any) -> Any:
    return value.default_value if isinstance(value, PipelineParameter) else value
