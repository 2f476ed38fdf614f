"""An entry script that cannot work is refused before anything starts; one that might is let through."""

import os
from pathlib import Path

import pytest

from mpibatch.config.script import inspect, locate
from mpibatch.errors import ScriptError


@pytest.mark.parametrize(
    "source",
    [
        "def run(mini_batch): pass",
        "def run(mini_batch, context): pass",
        "def run(mini_batch, context=None, *, extra=1): pass",
        "def run(*arguments): pass",
        "run = lambda mini_batch: []",
        "run: object = print",
        "a, (run, b) = 1, (2, 3)",
        "from other import run",
        "from other import predict as run",
        "import run",
        "from other import *",
        "if True:\n    def run(mini_batch): pass",
        "try:\n    from fast import run\nexcept ImportError:\n    def run(mini_batch): pass",
        "class run: pass",
        "@decorated\ndef run(): pass",
        "async def run(m): pass\nrun = plainly(run)",
        "def init():\n    global run\n    run = print",
        "x = '\\d'\ndef run(mini_batch): pass",
    ],
)
def test_scripts_that_have_a_run(tmp_path: Path, source: str) -> None:
    (tmp_path / "s.py").write_text(source)
    inspect(str(tmp_path / "s.py"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "has no run"),
        ("def runs(mini_batch): pass", r"it has runs"),
        ("class A:\n    def run(self, mini_batch): pass", "has no run"),
        ("def f():\n    def run(mini_batch): pass", "has no run"),
        ("run: object", "has no run"),
        ("[run for run in []]", "has no run"),
        ("\nasync def run(mini_batch): pass", r"s\.py:2: run is `async def`"),
        ("def run(): pass", r"s\.py:1: run cannot be called with a mini-batch"),
        ("def run(a, b, c): pass", "cannot be called"),
        ("def run(a, *, b): pass", "cannot be called"),
        ("def run(mini_batch)\n    pass", r"s\.py:1: SyntaxError: expected ':'"),
        ("def run(m):\n\tx\n        y", r"s\.py:3: TabError"),
        ("return 1", r"s\.py:1: SyntaxError"),
        ("\0", "null bytes"),
        pytest.param("x = " + "(" * 5000, r"s\.py", id="nested"),
        pytest.param("x = " + "-" * 100000 + "1", r"s\.py", id="chained"),
        ("# coding: nonsense\n", r"SyntaxError"),
    ],
)
def test_scripts_that_cannot_work(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "s.py").write_text(source)
    with pytest.raises(ScriptError, match=message):
        inspect(str(tmp_path / "s.py"))


def test_a_script_is_found_by_path_and_by_module(tmp_path: Path) -> None:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    script, package = tmp_path / "package" / "s.py", tmp_path / "package" / "inner" / "__init__.py"
    script.touch()
    package.touch()
    assert locate(str(tmp_path), "package/s.py") == str(script)
    assert locate(str(tmp_path), "package.s") == str(script)
    assert locate(str(tmp_path), "package.inner") == str(package)
    assert locate(str(tmp_path), str(script)) == str(script)


def test_a_missing_script_is_told_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "score.py").touch()
    (tmp_path / "other.py").touch()
    with pytest.raises(ScriptError, match=r"no file .*scor\.py; did you mean score\.py\?"):
        locate(str(tmp_path), "scor.py")
    with pytest.raises(ScriptError, match=r"package/inner\.py or .*package/inner/__init__\.py"):
        locate(str(tmp_path), "package.inner")
    with pytest.raises(ScriptError, match="is no folder"):
        locate(str(tmp_path / "nowhere"), "score.py")


def test_a_pipe_is_no_script(tmp_path: Path) -> None:
    """Opening one would wait for ever."""
    os.mkfifo(tmp_path / "s.py")
    with pytest.raises(ScriptError, match="no file"):
        locate(str(tmp_path), "s.py")
