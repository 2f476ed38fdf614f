"""What ARCHITECTURE.md says of the packages, read off the imports of every file, and files that stay short."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mpibatch"
LINES = 400

FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; `from mpibatch import x` is mpibatch.x."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_point_one_way() -> None:
    """The contracts of pyproject.toml: layers, no circles, who may import mpi4py."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    ran = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_only_one_file_knows_pydantic() -> None:
    found = {name_of(path) for path in FILES if any(name.startswith("pydantic") for name in imported(path))}
    assert found == {"mpibatch/config/validate.py"}


def test_the_scheduler_is_pure() -> None:
    """No MPI, file, thread or clock inside."""
    impure = {"mpi4py", "os", "io", "time", "threading", "socket", "subprocess", "pathlib", "select", "random"}
    for path in FILES:
        if path.parent.name == "scheduling":
            assert not {name.split(".")[0] for name in imported(path)} & impure, name_of(path)


@pytest.mark.parametrize(
    "path", sorted([*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]), ids=name_of
)
def test_no_file_is_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES, f"{lines} lines; more than one thing is in it"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
