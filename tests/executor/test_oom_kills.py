"""An executor of which the kernel has ended a process ends too, before it tells what came of that."""

import subprocess
import sys
from pathlib import Path

from mpibatch.executor.entry_script import EntryScript
from mpibatch.executor.oom_kills import OomKills, oom_kills

PROGRAM = """
import os, sys
from mpibatch.executor.oom_kills import OomKills
kills = OomKills(sys.argv[1])
if os.fork() == 0:
    kills.end_if_any()
    os._exit(3)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
kills.end_if_any()
print("alive")
"""


def ended(path: Path) -> tuple[int, list[str]]:
    """Exit status and words of a process that looks once itself, and once in a process that it has forked."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout.split()


def test_it_ends_and_what_it_has_forked_does_not(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 1\noom_kill 1\n")
    assert ended(events) == (-9, ["3"])


def test_as_long_as_nothing_was_ended_nothing_happens(tmp_path: Path) -> None:
    control = tmp_path / "memory.oom_control"
    control.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert ended(control) == (0, ["3", "alive"])
    assert ended(tmp_path / "gone") == (0, ["3", "alive"])


def test_run_does_not_come_back(tmp_path: Path) -> None:
    """Also where it raises."""
    program = """
import sys
from mpibatch.executor.entry_script import EntryScript
from mpibatch.executor.oom_kills import OomKills
def run(mini_batch):
    with open(sys.argv[1], "w") as file:
        file.write("oom_kill 1")
    raise ValueError(mini_batch)
OomKills(sys.argv[1]).watching(EntryScript(None, run, None, False)).run([1])
"""
    path = tmp_path / "memory.events"
    path.write_text("oom_kill 0")
    done = subprocess.run([sys.executable, "-c", program, path], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (-9, b"")


def test_without_a_cgroup() -> None:
    """Nothing is looked at, and run() is the script's own."""
    script = EntryScript(None, print, None, False)
    kills = OomKills("")
    kills.end_if_any()
    assert kills.watching(script) is script


def test_counts() -> None:
    assert oom_kills(b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n") == 3
    assert oom_kills(b"low 0\noom 4\noom_kill 2\noom_group_kill 1\n") == 2
    assert oom_kills(b"") == 0
