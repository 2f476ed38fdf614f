"""The entry script as far as it can be judged without running it: found, compiled, and with a usable `run`.

An executor finds the script by `locate` too, so this imports little beside the standard library.
"""

import ast
import os
import warnings
from collections.abc import Iterator

from mpibatch.config.problems import escape, format_value, nearest
from mpibatch.errors import ScriptError

_CONTRACT = "an entry script defines run(mini_batch) or run(mini_batch, context)"


def locate(source_directory: str, entry_script: str) -> str:
    """The absolute path of a script given as a path or a dotted module. Raises ScriptError without one."""
    if not os.path.isdir(source_directory):
        raise ScriptError(f"the source_directory {format_value(source_directory)} is no folder")
    if is_file_name(entry_script):
        candidates = [os.path.join(source_directory, entry_script)]
    else:
        stem = os.path.join(source_directory, *entry_script.split("."))
        candidates = [f"{stem}.py", os.path.join(stem, "__init__.py")]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    tried = " or ".join(escape(candidate) for candidate in candidates)
    raise ScriptError(f"there is no file {tried}{_advice(source_directory, entry_script)}")


def is_file_name(entry_script: str) -> bool:
    """Whether a script is given as a path; else as a dotted module."""
    return entry_script.endswith(".py") or "/" in entry_script


def inspect(path: str) -> None:
    """Raises ScriptError unless the script at `path` compiles and has a `run` that can be called."""
    tree = compile_script(path)
    bindings = list(_bindings(tree.body))
    runs = [node for name, node in bindings if name == "run"]
    if not runs:
        if any(name == "*" for name, _ in bindings) or _declared_global(tree):
            return
        guess = nearest("run", [name for name, _ in bindings])
        raise ScriptError(f"{escape(path)} has no run{f' (it has {escape(guess)})' if guess else ''}; {_CONTRACT}")
    match runs[-1]:
        case ast.AsyncFunctionDef() as function:
            raise ScriptError(
                f"{escape(path)}:{function.lineno}: run is `async def`, but is called plainly; {_CONTRACT}"
            )
        case ast.FunctionDef(decorator_list=[]) as function if not _takes_a_mini_batch(function.args):
            raise ScriptError(f"{escape(path)}:{function.lineno}: run cannot be called with a mini-batch; {_CONTRACT}")


def compile_script(path: str) -> ast.Module:
    """The script as a tree. Raises ScriptError unless it is Python that compiles."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the script's own warnings come when it runs
            tree = ast.parse(source, path)
            compile(tree, path, "exec", dont_inherit=True)
    except OSError as error:
        raise ScriptError(f"{escape(path)} cannot be read: {error.strerror}") from None
    except SyntaxError as error:
        where = f"{escape(path)}:{error.lineno}" if error.lineno else escape(path)
        raise ScriptError(f"{where}: {type(error).__name__}: {escape(error.msg)}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes; nesting beyond the parser's means
        raise ScriptError(f"{escape(path)} is no Python source: {type(error).__name__}: {escape(str(error))}") from None
    return tree


def _bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Every name that a module binds, with what binds it, in source order. Functions are not entered."""
    for node in body:
        yield from _bound_by(node)


def _bound_by(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, node
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            yield from ((alias.asname or alias.name.partition(".")[0], node) for alias in aliases)
        case ast.Name(id=name, ctx=ast.Store()):
            yield name, node
        case ast.AnnAssign(value=None):
            return  # `run: Callable` alone binds nothing
        case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _bound_by(child)


def _declared_global(tree: ast.Module) -> bool:
    """Whether some function may set a global `run`."""
    return any(isinstance(node, ast.Global) and "run" in node.names for node in ast.walk(tree))


def _takes_a_mini_batch(arguments: ast.arguments) -> bool:
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    named = [default for default in arguments.kw_defaults if default is None]
    return required <= 2 and not named and (bool(positional) or arguments.vararg is not None)


def _advice(source_directory: str, entry_script: str) -> str:
    try:
        scripts = sorted(name for name in os.listdir(source_directory) if name.endswith(".py"))[:200]
    except OSError:
        return ""
    guess = nearest(entry_script, scripts) or (scripts[0] if len(scripts) == 1 else None)
    return f"; did you mean {escape(guess)}?" if guess else ""
