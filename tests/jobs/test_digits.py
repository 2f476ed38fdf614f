"""The digits job's own files: the entry script as a plain module, the check, the labels."""

import csv
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

JOB = Path(__file__).parents[2] / "jobs" / "digits"

# As in an executor: the script's folder importable, sys.argv of the job, init() once, run() per mini-batch.
DRIVER = """
import json, sys
sys.path.insert(0, {folder!r})
sys.argv = ["digit_identification.py", "--model", {model!r}]
import digit_identification
digit_identification.init()
print(json.dumps([digit_identification.run(batch) for batch in json.load(sys.stdin)]))
"""


def labels() -> list[dict[str, str]]:
    with (JOB / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def predict(mini_batches: list[list[str]]) -> list[list[str]]:
    """Runs the entry script in a process of its own, since TensorFlow's threads are set once per process."""
    driver = DRIVER.format(folder=str(JOB), model=str(JOB / "model" / "digits.keras"))
    done = subprocess.run(
        [sys.executable, "-c", driver],
        input=json.dumps(mini_batches),
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows: list[list[str]] = json.loads(done.stdout)
    return rows


@pytest.mark.ci
@pytest.mark.processes
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed")
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_pictures_of_the_front_page_can_be_made_again(tmp_path: Path) -> None:
    """By one command, from a run; and they are small enough for a repository."""
    done = subprocess.run(
        [sys.executable, str(JOB / "pictures.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = sorted(tmp_path.iterdir())
    assert [path.name for path in made] == ["progress.png", "report.png"]
    for path in made + [JOB / path.name for path in made]:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert 2_000 < path.stat().st_size < 200_000


def check(output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(JOB / "check.py"), str(output)], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed")
@pytest.mark.ci
def test_reads_held_out_digits_and_does_so_however_they_are_grouped() -> None:
    scans = [row for row in labels() if row["split"] == "test"][:10]
    paths = [str(JOB / "data" / scan["file"]) for scan in scans]
    together, first, rest, *alone = predict([paths, paths[:3], paths[3:], *([path] for path in paths)])
    assert [row.split(": ")[0] for row in together] == [scan["file"] for scan in scans]
    assert sum(row.split(": ")[1] == scan["label"] for row, scan in zip(together, scans, strict=True)) >= 9
    assert first + rest == together
    assert [row for rows in alone for row in rows] == together


def test_every_image_has_a_label_and_a_fifth_is_held_out() -> None:
    rows = labels()
    assert [row["file"] for row in rows] == sorted(path.name for path in (JOB / "data").glob("*.png"))
    assert len(rows) == 1797
    assert {row["label"] for row in rows if row["split"] == "test"} == set("0123456789")
    assert sum(row["split"] == "test" for row in rows) == 360


def test_the_model_is_small() -> None:
    assert (JOB / "model" / "digits.keras").stat().st_size < 1_000_000


def test_check_counts_wrong_missing_and_repeated_lines(tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    lines = [f"{row['file']}: {row['label']}\n" for row in labels()]

    output.write_text("".join(lines))
    assert check(output).returncode == 0
    assert "1.0000 (360 of 360, 0 missing)" in check(output).stdout

    output.write_text("".join(line for line in lines if not line.endswith(": 7\n")))
    assert check(output).returncode == 1
    assert "36 missing" in check(output).stdout

    output.write_text("".join([*lines, lines[0]]))
    assert check(output).returncode == 1
    assert "1 lines are repeated" in check(output).stderr
