"""The files that an entry script is made of: itself, and the modules of its folder that it imports, found by reading.

    entry script --import statements--> modules below source_directory --their import statements--> ...

Nothing is run, and no folder is searched: a script may lie beside a million files. What is imported under a name that
is computed is not seen.
"""

import ast
import os
from collections.abc import Iterator

from mpibatch.config.script import compile_script, locate
from mpibatch.errors import ScriptError

MOST = 5000  # files


def script_files(source_directory: str, entry_script: str) -> list[str]:
    """Absolute paths, the entry script first. Raises ScriptError where that is not there."""
    script = locate(source_directory, entry_script)
    roots = list(dict.fromkeys([source_directory, os.path.dirname(script)]))
    found = {script: None}
    waiting = [script]
    while waiting and len(found) < MOST:
        for path in _imported_by(waiting.pop(), roots):
            if path not in found:
                found[path] = None
                waiting.append(path)
    return list(found)


def _imported_by(path: str, roots: list[str]) -> Iterator[str]:
    try:
        tree = compile_script(path)
    except ScriptError:
        return  # whoever imports it will hear of it
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    yield from _files_of(alias.name, roots)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                folder = path
                for _ in range(level):
                    folder = os.path.dirname(folder)
                for alias in aliases:
                    name = ".".join(filter(None, (module, alias.name)))
                    yield from _files_of(name, [folder] if level else roots)


def _files_of(name: str, roots: list[str]) -> Iterator[str]:
    """What the import of a dotted name runs, as far as it is below `roots`; its last part may be no module."""
    for root in roots:
        path = root
        for part in name.split("."):
            path = os.path.join(path, part)
            yield from filter(os.path.isfile, (f"{path}.py", os.path.join(path, "__init__.py")))
