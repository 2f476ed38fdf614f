"""The names `azureml` and `azureml_user`, answered by `mpibatch.azureml`: how programs written for Azure run unchanged.

    import azureml.core  --finder on sys.meta_path-->  mpibatch.azureml.core, under both names

In executors the finder is asked last: what is installed stays what it is, also where only parts of it are. A program
that calls `redirect()` has it asked first.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

from mpibatch.errors import UsageError

_ROOTS = {"azureml": "mpibatch.azureml", "azureml_user": "mpibatch.azureml.user"}


def fill_in() -> None:
    """Has what is missing of Azure's modules answered here."""
    _install(last=True)


def take_over() -> None:
    """Has all of Azure's modules answered here. Raises UsageError where the real ones are in use already."""
    loaded = sys.modules.get("azureml.core")
    if loaded is not None and not loaded.__name__.startswith("mpibatch."):
        raise UsageError(
            f"the real azureml.core was imported before, from {getattr(loaded, '__file__', None)}: call "
            "mpibatch.azureml.redirect() before the first import of azureml"
        )
    _install(last=False)


def _install(last: bool) -> None:
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, AzureFinder)]
    sys.meta_path.insert(len(sys.meta_path) if last else 0, AzureFinder())
    importlib.invalidate_caches()


def explain_missing() -> None:
    """Has a module below mpibatch.azureml that there is not explained by whoever imports it."""
    if not any(isinstance(finder, _MissingFinder) for finder in sys.meta_path):
        sys.meta_path.append(_MissingFinder())


class _MissingFinder:
    """Asked last, so that what it is asked for is not there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError with what there is, or what to use in its place."""
        if fullname.startswith("mpibatch.azureml."):
            raise ModuleNotFoundError(_explain(fullname), name=fullname)
        return None


class AzureFinder:
    """Finds azureml.X as mpibatch.azureml.X."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError, with what there is, for a module below these names that there is not."""
        root, dot, rest = fullname.partition(".")
        if root not in _ROOTS:
            return None
        mirrored = f"{_ROOTS[root]}{dot}{rest}"
        if _exists(mirrored):
            return ModuleSpec(fullname, cast(Any, _Alias(mirrored)))  # importlib.abc takes long to import
        raise ModuleNotFoundError(_explain(fullname), name=fullname)


class _Alias:
    """Puts one module under a second name."""

    def __init__(self, mirrored: str) -> None:
        self._mirrored = mirrored

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # the import system takes what is in sys.modules afterwards
        sys.modules[module.__name__] = importlib.import_module(self._mirrored)


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _explain(fullname: str) -> str:
    explain: str = importlib.import_module("mpibatch.azureml.absent").explain_module(fullname)
    return explain
