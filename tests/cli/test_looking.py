"""What one types to look at runs, and what the shell completes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mpibatch.cli.groups import GROUPS
from mpibatch.cli.main import commands
from tests.reporting.run_directories import make_run


def said(*arguments: object) -> str:
    result = CliRunner().invoke(commands, list(map(str, arguments)))
    assert result.exit_code == 0, result.exception
    return result.stdout_bytes.decode("utf-8", "surrogateescape")


def test_looking_at_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "one")
    assert said("status", run.path).startswith("completed: made")
    assert json.loads(said("status", run.path, "--json"))["state"] == "completed"
    assert said("status", run.path, "--watch").startswith("completed"), "of a finished run it ends at once"
    assert "one" in said("runs", tmp_path)
    assert "3 failed items" in said("failures", run.path)
    assert len(said("failures", run.path, "--items").splitlines()) >= 3
    elsewhere = tmp_path / "sent.html"
    said("report", run.path, "--output", elsewhere)
    assert elsewhere.read_text().startswith("<!doctype html>")


def test_help_names_every_command_in_a_group() -> None:
    text = said("--help")
    assert all(f"{title}:" in text for title in GROUPS)
    assert all(f"\n  {name} " in text for name in commands.commands)
    assert "More:" not in text, "a new command belongs to a group"


def test_bash_completes_commands(tmp_path: Path) -> None:
    """As bash would ask: the second word begins with "stat"."""
    program = tmp_path / "mpibatch"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mpibatch "$@"\n')
    program.chmod(0o755)
    bash = shutil.which("bash")
    assert bash is not None
    script = """
        eval "$(mpibatch completion bash)"
        COMP_WORDS=(mpibatch stat); COMP_CWORD=1
        _mpibatch_completion mpibatch; echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["status"], done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_completion(shell: str) -> None:
    assert "_MPIBATCH_COMPLETE" in said("completion", shell)


def test_a_script_is_no_job_file(tmp_path: Path) -> None:
    """Who runs a script is told of job files, and how to come by one."""
    script = tmp_path / "score.py"
    script.write_text("def run(mini_batch): return mini_batch\n")
    command = [sys.executable, "-m", "mpibatch", "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is a script" in done.stderr
    assert "mpibatch init" in done.stderr
