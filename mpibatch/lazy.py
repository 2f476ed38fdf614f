"""Modules whose names are imported when they are first used: `import mpibatch` and Azure's module tree stay light.

    {"Model": "mpibatch.sdk.model"}  --first use of .Model-->  that module's Model, kept

What there is not is an ImportError that lists what there is, and says why where that is known.
"""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_module(
    module: str, names: Mapping[str, str], absent: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module.

    names:  name to the module that has it, or to MODULE:NAME where it has another name there
    absent: name to the sentence that says what to do in its place
    """

    def get(name: str) -> Any:
        if name in names:
            home, _, other = names[name].partition(":")
            value = getattr(importlib.import_module(home), other or name)
        elif name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        elif hasattr(sys.modules[module], "__path__") and _is_module(f"{module}.{name}"):
            value = importlib.import_module(f"{module}.{name}")
        else:
            raise ImportError(unknown(module, name, list(names), absent or {}), name=f"{module}.{name}")
        setattr(sys.modules[module], name, value)
        return value

    return get, lambda: sorted(names)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def unknown(module: str, name: str, names: list[str], absent: Mapping[str, str]) -> str:
    """What to say of a name that a module does not have."""
    if name in absent:
        return f"{module}.{name} is not here: {absent[name]}"
    near = difflib.get_close_matches(name, names, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{module} has no {name}.{hint} It has {', '.join(sorted(names)) or 'nothing of its own'}"
