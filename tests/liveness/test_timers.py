"""Guards that there is one true table of timers, and that whoever is ended by one can read its name."""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from mpibatch.config.schema import RunConfig
from mpibatch.errors import UsageError
from mpibatch.liveness.timers import START_LIMIT, TIMERS, startup_timeout

PACKAGE = Path(__file__).parents[2] / "mpibatch"


def table() -> list[str]:
    """As ARCHITECTURE.md has it."""
    rows = [f"| `{timer.name}` | {timer.default} | {timer.watched_by} | {timer.ends} |" for timer in TIMERS]
    return ["| timer | default | who watches | what ends |", "| --- | --- | --- | --- |", *rows]


@cache
def messages() -> str:
    """All string constants of the package but docstrings, and those of the table itself."""
    found: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        if path.name == "timers.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        ]
    return "\n".join(found)


def test_the_table_of_the_documentation_is_this_one() -> None:
    """On failure: put the rows that pytest shows into ARCHITECTURE.md."""
    text = (PACKAGE / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert "\n".join(table()) in text, "\n" + "\n".join(table())


def test_defaults_of_settings_are_those_of_the_job_file() -> None:
    config = RunConfig("score.py")
    settings = [timer for timer in TIMERS if "setting" in timer.default]
    assert len(settings) == 5
    for timer in settings:
        assert timer.default == f"{getattr(config, timer.name):g} s, setting"


@pytest.mark.parametrize("name", [timer.name for timer in TIMERS])
def test_a_message_names_it(name: str) -> None:
    assert name in messages()


@pytest.mark.parametrize("text", ["", "abc", "0", "-5", "1.5", "1e3", "²"])
def test_a_start_limit_that_is_no_number_is_refused_in_words(text: str) -> None:
    with pytest.raises(UsageError, match=r"MPIBATCH_START_LIMIT is '.*'.*whole number above 0"):
        startup_timeout(4, {START_LIMIT: text})


def test_the_start_limit() -> None:
    assert startup_timeout(100, {}) == 70
    assert startup_timeout(100, {START_LIMIT: "7"}) == 7


@pytest.mark.processes
def test_a_rank_refuses_it_in_words_too(tmp_path: Path) -> None:
    """Before anything is begun, without a traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "mpibatch.mpi", str(tmp_path)],
        env={**os.environ, START_LIMIT: "60s"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == UsageError.status
    assert ended.stderr.startswith("mpibatch: MPIBATCH_START_LIMIT is '60s'")
    assert "Traceback" not in ended.stderr
