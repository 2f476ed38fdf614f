"""The user's entry script: import, and the three functions of its contract.

init()                            optional, once per executor
run(mini_batch)                   or run(mini_batch, context)
shutdown()                        optional, at the end
"""

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from mpibatch.config.script import is_file_name, locate
from mpibatch.errors import ScriptError
from mpibatch.executor import shadowing
from mpibatch.types import UNKNOWN, MiniBatch


@dataclass(frozen=True, slots=True)
class Context:
    """What `run(mini_batch, context)` is told.

    minibatch_index:     of this mini-batch, over all inputs
    dataset:             name of the input it comes from, "" without input
    partition_key_value: key names to values, {} without partition_keys
    item_offset:         place of its first item within the input; None where only reading everything would tell
    """

    minibatch_index: int
    dataset: str
    partition_key_value: dict[str, Any]
    item_offset: int | None

    @staticmethod
    def offset(value: int) -> int | None:
        return None if value == UNKNOWN else value


def context_for(batch: MiniBatch, inputs: Sequence[str]) -> Context:
    """The context of one mini-batch. inputs: their names, in the order of the job file."""
    keys = json.loads(batch.key) if batch.key else {}
    return Context(batch.index, inputs[batch.dataset], keys, Context.offset(batch.item_offset))


@dataclass(frozen=True, slots=True)
class EntryScript:
    """The functions of a script that has been imported."""

    init: Callable[[], Any] | None
    run: Callable[..., Any]
    shutdown: Callable[[], Any] | None
    wants_context: bool


def load(source_directory: Path, entry_script: str, arguments: Sequence[str]) -> EntryScript:
    """Imports the script with its folder importable and `sys.argv` set.

    entry_script: a path below `source_directory`, or a dotted module of it
    Raises ScriptError where it is not there or has no usable `run`; whatever the script raises on import goes through.
    """
    path = Path(locate(str(source_directory), entry_script))
    shadowing.import_before(source_directory, path.parent)
    sys.path.insert(0, str(source_directory))
    sys.argv = [str(path), *arguments]
    if is_file_name(entry_script):
        package = _package_of(path.parent, source_directory)
        if package and path.stem.isidentifier():
            module = _from_name(f"{package}.{path.stem}", path)
        else:
            if path.parent != source_directory:
                sys.path.insert(0, str(path.parent))
            module = _from_file(path)
    else:
        module = _from_name(entry_script, path)
    return _functions(module, entry_script)


def _package_of(folder: Path, source_directory: Path) -> str:
    """The dotted name of the package that `folder` is, seen from `source_directory`; "" where it is none."""
    if folder == source_directory or not folder.is_relative_to(source_directory):
        return ""
    names = folder.relative_to(source_directory).parts
    chain = [folder, *folder.parents][: len(names)]
    is_package = all((parent / "__init__.py").is_file() for parent in chain)
    return ".".join(names) if is_package and all(name.isidentifier() for name in names) else ""


def _from_name(name: str, path: Path) -> ModuleType:
    module = importlib.import_module(name)
    found = getattr(module, "__file__", None)
    if found is None or not path.samefile(found):
        raise ScriptError(
            f"{name} is also the name of a module that Python has from {found or 'within'}, so {path} cannot be "
            "imported under it. Give the script another name, or write entry_script as a file name."
        )
    return module


def _from_file(path: Path) -> ModuleType:
    # under the name of its file, so that pickles and multiprocessing inside the script find its classes; one with a dot
    # is no name of a module: a process of multiprocessing runs that file anew, and calls it as we do
    name = path.stem
    if "." in name:
        name = "__mp_main__"
        main = sys.modules["__main__"]
        main.__spec__, main.__file__ = None, str(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ScriptError(f"{path} cannot be imported as Python. Does its name end in .py?")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # pickles that a script has written when it was run by itself name its classes after __main__
    vars(sys.modules["__main__"])["__getattr__"] = partial(getattr, module)
    spec.loader.exec_module(module)
    return module


def _functions(module: ModuleType, name: str) -> EntryScript:
    run = getattr(module, "run", None)
    if not callable(run):
        raise ScriptError(f"{name} has no function run(mini_batch). It is what mpibatch calls for every mini-batch.")
    for optional in ("init", "shutdown"):
        if not callable(getattr(module, optional, lambda: None)):
            raise ScriptError(f"{optional} in {name} is no function.")
    return EntryScript(getattr(module, "init", None), run, getattr(module, "shutdown", None), _takes_context(run, name))


def _takes_context(run: Callable[..., Any], name: str) -> bool:
    """Whether `run` has room for a second positional argument without a default of its own kind."""
    try:
        signature = inspect.signature(run)
    except (TypeError, ValueError):
        return False  # a callable that hides its signature
    for count in (1, 2):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        names = list(signature.parameters)
        # run(mini_batch, threshold=0.5) does not ask for a context; run(mini_batch, context=None) does
        return count == 2 or (len(names) > 1 and names[1] in ("context", "mini_batch_context"))
    raise ScriptError(f"run{signature} in {name} cannot be called as run(mini_batch) or run(mini_batch, context).")
