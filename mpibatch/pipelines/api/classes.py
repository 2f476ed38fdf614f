"""The classes by name: Azure's make each other in a circle, which imports of modules must not."""

import importlib
from typing import Any


def api_class(name: str) -> Any:
    """A class of `mpibatch.pipelines.api`, once it is needed."""
    return getattr(importlib.import_module("mpibatch.pipelines.api"), name)
