"""PipelineParameter: a name with a default, which each submission may give another value."""

from typing import Any

from mpibatch.config.values import NAME
from mpibatch.errors import UsageError


class PipelineParameter:
    """default_value: text, a number, true or false, a dataset, or a DataPath. Raises UsageError for a bad name."""

    def __init__(self, name: str, default_value: Any) -> None:
        if not isinstance(name, str) or not NAME.matches(name):
            raise UsageError(f"PipelineParameter {name!r}: a name is {NAME.words}")
        self.name = name
        self.default_value = default_value

    def __repr__(self) -> str:
        return f"PipelineParameter(name={self.name!r}, default_value={self.default_value!r})"

    def __str__(self) -> str:
        return f"PipelineParameter_Name:{self.name}_Default:{self.default_value}"


def parameter_data(value: Any) -> Any:
    """A parameter's value as plain data: a dataset as the mapping of an input."""
    if hasattr(value, "to_data"):
        return value.to_data()
    if hasattr(value, "dataset"):  # a consumption config
        return parameter_data(value.dataset)
    if hasattr(value, "address"):  # a DataPath
        return {"type": "files", "path": value.address}
    return value
