"""Microsoft's tutorial through both doors: two submissions, and a second process that fetches what they gave."""

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.azureml.tutorial_program import PROGRAM, SCRIPT, SECOND_PROCESS

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
REDIRECT = "from mpibatch import azureml\nazureml.redirect()\n"
IMAGES = 12


def edited(program: str) -> str:
    """One `sed`."""
    return re.sub(r"^from azureml\.", "from mpibatch.azureml.", program, flags=re.MULTILINE)


def redirected(program: str) -> str:
    """One line before the first."""
    return REDIRECT + program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images, each of one bright row that tells the digit; a model that finds it."""
    for number in range(IMAGES):
        image = np.zeros((28, 28), dtype=np.uint8)
        image[number % 10] = 255
        path = tmp_path / "container" / "mnist" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    weights = np.zeros((784, 10), dtype=int)
    for row in range(10):
        weights[28 * row : 28 * (row + 1), row] = 1
    np.savetxt(tmp_path / "mnist-tf.model", weights)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "mnist-tf.model", "mnist-tf.model")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "digit_identification.py").write_text(SCRIPT)
    return tmp_path


def python(folder: Path, *words: str) -> str:
    """What a program prints."""
    environment = {**os.environ, "MPIBATCH_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, *words]
    ran = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize(
    "door", [pytest.param(edited, id="imports edited", marks=pytest.mark.ci), pytest.param(redirected, id="redirect")]
)
def test_the_tutorial(folder: Path, door: Callable[[str], str]) -> None:
    """Only the imports and the data's address differ from what stands in the tutorial."""
    python(folder, "-m", "mpibatch", "datastores", "register", "mnist_datastore", "container")
    printed = python(folder, "-c", door(PROGRAM))
    runs = printed.splitlines()[-1].split()[1:]
    assert python(folder, "-c", door(SECOND_PROCESS), *runs).split() == ["Finished"] * 4
    rows = []
    for run in runs:
        (found,) = (folder / run / "azureml").glob("*/inferences/mnist_outputs.txt")
        rows.append(found.read_text().splitlines())
    names = sorted((f"{number}.png" for number in range(IMAGES)), key=str)
    assert rows[0] == [f"{name}: {int(name.split('.')[0]) % 10}" for name in names]
    assert rows[1] == ["0.png: 0"]
