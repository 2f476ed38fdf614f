"""An executor runs the very file that the job's check has looked at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mpibatch.config.script import inspect, locate
from mpibatch.errors import ScriptError

LOAD = """\
import sys
from pathlib import Path
from mpibatch.errors import ScriptError
from mpibatch.executor.entry_script import load
try:
    script = load(Path(sys.argv[1]), sys.argv[2], ["--fast"])
except ScriptError as error:
    sys.exit(f"ScriptError: {error}")
import json
print(json.dumps([script.run([]), sys.argv]))
"""
SCRIPT = "def run(mini_batch):\n    return [__file__]\n"


def loaded(folder: Path, entry_script: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, since a script is imported for good."""
    command = [sys.executable, "-c", LOAD, str(folder), entry_script]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    for name in ("score", "odd-name", "package/__init__", "package/inner/__init__", "package/inner/model"):
        (tmp_path / f"{name}.py").write_text(SCRIPT)
    return tmp_path


@pytest.mark.parametrize(
    ("entry_script", "file"),
    [
        ("score.py", "score.py"),
        ("./score.py", "score.py"),
        ("score", "score.py"),
        ("odd-name.py", "odd-name.py"),
        ("package/inner/model.py", "package/inner/model.py"),
        ("package.inner.model", "package/inner/model.py"),
        ("package.inner", "package/inner/__init__.py"),
    ],
)
def test_check_and_executor_find_the_same_file(folder: Path, entry_script: str, file: str) -> None:
    path = locate(str(folder), entry_script)
    inspect(path)
    answer = loaded(folder, entry_script)
    assert answer.returncode == 0, answer.stderr
    (found,), argv = json.loads(answer.stdout)
    assert Path(found).samefile(path)
    assert Path(path).samefile(folder / file)
    assert argv == [str(Path(path)), "--fast"]


@pytest.mark.parametrize("entry_script", ["nothing.py", "nothing", "package/nothing", "score.run"])
def test_what_the_check_does_not_find_an_executor_does_not_either(folder: Path, entry_script: str) -> None:
    with pytest.raises(ScriptError) as caught:
        locate(str(folder), entry_script)
    assert loaded(folder, entry_script).stderr == f"ScriptError: {caught.value}\n"


def test_a_script_with_the_name_of_a_module_that_is_already_there(folder: Path) -> None:
    """Python would hand out its own `json`, which has no run()."""
    (folder / "json.py").write_text(SCRIPT)
    answer = loaded(folder, "json")
    assert answer.returncode == 1
    assert "Give the script another name" in answer.stderr


def ran(folder: Path, script: str, file: str = "score.py") -> "subprocess.CompletedProcess[str]":
    """A script that has been loaded, and its run([])."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(script)
    return loaded(folder, file)


def test_a_neighbour_with_the_name_of_a_standard_module_breaks_nothing_of_ours(folder: Path) -> None:
    """pandas imported the user's random.py."""
    for name in ("random", "csv", "types", "statistics"):
        (folder / f"{name}.py").write_text("X = 1\n")
    answer = ran(folder, "def run(mini_batch):\n    import pandas\n    return [pandas.__name__]\n")
    assert answer.returncode == 0, answer.stderr


def test_a_script_in_a_package_has_its_name(folder: Path) -> None:
    """Relative imports work, and whoever imports it by that name gets the same module."""
    script = "from . import model\nimport package.inner.scoring as me\ndef run(m): return [__name__, me.run is run]\n"
    answer = ran(folder, script, "package/inner/scoring.py")
    assert json.loads(answer.stdout)[0] == ["package.inner.scoring", True], answer.stderr


def test_classes_of_main_in_pickles_are_found(folder: Path) -> None:
    """Also while the script is imported."""
    script = (
        "import pickle\nclass Model: pass\nfound = pickle.loads(b'c__main__\\nModel\\n.')\n"
        "def run(m): return [found is Model]\n"
    )
    answer = ran(folder, script)
    assert json.loads(answer.stdout)[0] == [True], answer.stderr


def test_a_dot_in_the_name_works_with_processes_that_are_spawned(folder: Path) -> None:
    script = (
        "import multiprocessing\ndef double(x): return 2 * x\ndef run(m):\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool: return pool.map(double, [21])\n"
    )
    assert json.loads(ran(folder, script, "score.v2.py").stdout)[0] == [42]
