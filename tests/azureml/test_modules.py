"""Azure's module tree: every name leads somewhere, nothing heavy is loaded for it, and what is missing is explained."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import mpibatch.azureml

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(mpibatch.azureml.__path__, "mpibatch.azureml.")
    if not module.name.endswith(".absent")
)


def python(code: str) -> "subprocess.CompletedProcess[str]":
    """A program in a process of its own: what it imports is its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("name", MODULES)
def test_every_name_leads_somewhere(name: str) -> None:
    """A table of names goes stale unseen."""
    module = importlib.import_module(name)
    for attribute in dir(module):
        assert getattr(module, attribute) is not None


def test_the_tree_only_names_things() -> None:
    """Code belongs where the classes are: functions, classes and statements are for `absent` and `redirect`."""
    for path in (ROOT / "mpibatch" / "azureml").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name == "absent.py" or path.parent.name == "azureml":
            continue
        assert all(
            isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign) for node in tree.body
        )


def test_importing_mpibatch_is_light() -> None:
    """What every command and rank pays."""
    heavy = ("pandas", "pyarrow", "mpi4py", "numpy", "yaml", "pydantic")
    ran = python(f"import mpibatch, mpibatch.azureml.core, sys; print([n for n in {heavy} if n in sys.modules])")
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_redirect_answers_for_azureml() -> None:
    """The same classes under both names, whichever way they are imported."""
    ran = python(
        "from mpibatch import azureml\n"
        "azureml.redirect()\n"
        "import azureml.core\n"
        "from azureml.core import Workspace, Dataset, Model\n"
        "from azureml.core.model import Model as M\n"
        "from azureml.data.datapath import DataPath\n"
        "import mpibatch.sdk.model\n"
        "assert Model is M is mpibatch.sdk.model.Model\n"
        "print(azureml.core.VERSION)\n"
    )
    assert ran.stdout == f"1.61.0 (mpibatch {mpibatch.__version__})\n", ran.stderr


def test_redirect_refuses_when_the_real_one_is_in_use() -> None:
    """Half of a program with one and half with the other would be worse than none."""
    ran = python(
        "import sys, types\n"
        "sys.modules['azureml'] = types.ModuleType('azureml')\n"
        "sys.modules['azureml.core'] = types.ModuleType('azureml.core')\n"
        "import mpibatch.azureml\n"
        "try:\n    mpibatch.azureml.redirect()\n"
        "except mpibatch.errors.UsageError as error:\n    print(error)\n"
    )
    assert "the real azureml.core was imported before" in ran.stdout, ran.stderr


def test_filling_in_hides_nothing(tmp_path: Path) -> None:
    """A package that is installed stays; what it lacks is filled in, beside it."""
    (tmp_path / "azureml" / "core").mkdir(parents=True)
    (tmp_path / "azureml" / "core" / "__init__.py").write_text("VERSION = 'real'\n")
    ran = python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from mpibatch.azure_names import fill_in; fill_in()\n"
        "import azureml.core; print(azureml.core.VERSION)\n"
        "from azureml.core.model import Model; print(Model.__module__)\n"
        "from azureml_user.parallel_run import EntryScript; print(EntryScript.__name__)\n"
    )
    assert ran.stdout.split() == ["real", "mpibatch.sdk.model", "EntryScript"], ran.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("from azureml.core import ScriptRunConfig", "is not here: use a pipeline of one PythonScriptStep"),
        ("from azureml.core import Workspce", "Did you mean Workspace? It has "),
        ("from azureml.train.automl import AutoMLConfig", "azureml.train is not here"),
        ("import azureml.opendatasets", "cloud only. Download the files"),
        ("from azureml.core.webservice import AciWebservice", "cloud only. A model is used in a step here"),
        ("from azureml.pipeline.core import Schedule", "cron"),
        ("import azureml.nothing.at.all", "azureml has no nothing"),
    ],
)
def test_what_is_not_there_is_explained(code: str, words: str) -> None:
    """An ImportError, as programs that try expect it, with a sentence of advice; through either door."""
    edited = code.replace(" azureml.", " mpibatch.azureml.")
    attempts = "".join(f"try:\n    {line}\nexcept ImportError as e:\n    print(e)\n" for line in (edited, code))
    ran = python(f"import mpibatch.azureml as a; a.redirect()\n{attempts}")
    assert [words in line for line in ran.stdout.splitlines()] == [True, True], ran.stdout + ran.stderr
