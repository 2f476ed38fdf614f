"""What DESIGN and ARCHITECTURE.md say of the rooms, read off the imports of every file.

The order below is the one that imports follow: a room may import rooms of later lines, and nothing of an earlier
one or of its own line. Imports within functions and for type checking only count too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mpibatch"
LINES = 400

ORDER = [
    ["__main__"],
    ["cli"],
    ["launching"],
    ["mpi"],
    ["reporting"],
    ["execution"],
    ["scheduling"],
    ["runs"],
    ["output", "datasets"],
    ["placement", "columns"],
    ["config"],
    ["types"],
    ["errors"],
]
RANK = {room: place for place, rooms in enumerate(ORDER) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The folder below mpibatch/, or the module's own name at its top."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; `from mpibatch import x` is mpibatch.x."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_used(path: Path) -> set[str]:
    """The rooms that a file imports, its own left out."""
    names = (name.split(".") for name in imported(path))
    rooms = {parts[1] for parts in names if parts[0] == "mpibatch" and len(parts) > 1}
    return {room for room in rooms if not room.startswith("__") and room != room_of(path)}


def importers(package: str) -> set[str]:
    return {room_of(path) for path in FILES if any(name.split(".")[0] == package for name in imported(path))}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert not rooms_used(path) - set(RANK)
        return
    assert room in RANK, f"{room} has no place in ORDER"
    wrong = {used for used in rooms_used(path) if RANK[used] <= RANK[room]}
    assert not wrong, f"{room} must not import {wrong}"


def test_only_the_mpi_room_imports_mpi4py() -> None:
    assert importers("mpi4py") == {"mpi"}


def test_launching_starts_ranks_and_never_imports_them() -> None:
    assert not [name_of(path) for path in FILES if room_of(path) == "launching" and "mpi" in rooms_used(path)]


def test_only_one_file_knows_pydantic() -> None:
    found = {name_of(path) for path in FILES if any(name.startswith("pydantic") for name in imported(path))}
    assert found == {"mpibatch/config/validate.py"}


def test_the_scheduler_is_pure() -> None:
    """No MPI, file, thread or clock inside."""
    impure = {"mpi4py", "os", "io", "time", "threading", "socket", "subprocess", "pathlib", "select", "random"}
    for path in FILES:
        if room_of(path) == "scheduling":
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
