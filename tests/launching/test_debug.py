"""One mini-batch in this process: what the script finds there, and how it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpibatch.cluster.environment import without_launcher_variables
from mpibatch.errors import ExitStatus

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]

JOB = """\
name: debugged
inputs:
  texts: {type: files, path: "data/*.txt"}
arguments: [one, two]
parallel_run_config:
  source_directory: code
  entry_script: score.py
  mini_batch_size: 2
  environment_variables: {COLOUR: blue}
"""


def debug(
    folder: Path, script: str, *arguments: str, stdin: str = "", job: str = JOB, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """`mpibatch debug` on mini-batch 0 of a job of three files with this script."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "code").mkdir(exist_ok=True)
    for name in ("a", "b", "c"):
        (folder / "data" / f"{name}.txt").write_text(name)
    (folder / "code" / "score.py").write_text(script)
    (folder / "code" / "beside.py").write_text("word = 'imported'\n")
    (folder / "job.yaml").write_text(job)
    environment = {
        **without_launcher_variables(os.environ),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder),
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "mpibatch", "debug", str(folder / "job.yaml"), "--mini-batch", "0", *arguments],
        env=environment, input=stdin, capture_output=True, text=True, timeout=60, check=False, cwd="/",
    )  # fmt: skip


def test_the_script_sees_what_it_would_see_in_an_executor(tmp_path: Path) -> None:
    script = """
import os, sys
import beside

def run(mini_batch, context):
    assert os.environ["COLOUR"] == "blue"
    assert os.environ["MPIBATCH_RANK"] == os.environ["MPIBATCH_LOCAL_RANK"] == "0"
    assert os.path.isdir(os.environ["MPIBATCH_OUTPUT_DIR"])
    assert "OMP_NUM_THREADS" in os.environ and "OMPI_COMM_WORLD_RANK" not in os.environ
    assert os.path.isabs(__file__) and sys.argv == [__file__, "one", "two"]
    assert os.getcwd() == os.path.dirname(__file__) == sys.path[0] and "/" not in sys.path
    assert "pandas" not in sys.modules and "mpi4py.MPI" not in sys.modules
    assert (context.minibatch_index, context.dataset, context.item_offset) == (0, "texts", 0)
    return [os.path.basename(path) for path in mini_batch]
"""
    answer = debug(tmp_path, script, MPICH_NOTHING="", OMPI_MCA_foo="1")
    assert (answer.returncode, answer.stdout) == (0, "a.txt\nb.txt\n"), answer.stderr
    assert not list(tmp_path.glob("mpibatch-debug-*"))


def test_rows_come_in_the_format_of_the_job(tmp_path: Path) -> None:
    job = JOB + "  append_row_file_name: rows.csv\n"
    answer = debug(tmp_path, "def run(mini_batch):\n    return [{'n': 1, 't': 'x,y'}, {'n': 2, 't': ''}]\n", job=job)
    assert answer.stdout.splitlines()[:2] == ["n,t", '1,"x,y"']


def test_rows_for_parquet_are_shown_as_a_table(tmp_path: Path) -> None:
    job = JOB + "  append_row_file_name: rows.parquet\n"
    answer = debug(tmp_path, "def run(mini_batch):\n    return [{'n': 1, 't': 'x'}, {'n': 2, 't': 'y'}]\n", job=job)
    assert [line.split() for line in answer.stdout.splitlines()] == [["n", "t"], ["0", "1", "x"], ["1", "2", "y"]]


def test_files_of_the_script_are_kept(tmp_path: Path) -> None:
    script = """
import os
def run(mini_batch):
    open(os.environ["MPIBATCH_OUTPUT_DIR"] + "/mine", "w").close()
    return mini_batch
"""
    assert "the script's own files are in" in debug(tmp_path, script).stderr
    (kept,) = tmp_path.glob("mpibatch-debug-*/outputs/*")
    assert kept.name == "mine"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1 / 0", "the script raised ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "the script raised SystemExit: 0"),
        ("return None", "run() must return a list, tuple, array or DataFrame, not NoneType"),
    ],
)
def test_a_script_that_fails_is_exit_status_2(tmp_path: Path, body: str, said: str) -> None:
    answer = debug(tmp_path, f"def run(mini_batch):\n    {body}\n")
    assert answer.returncode == ExitStatus.USAGE
    assert f"failed: {said}" in answer.stderr
    frames = [line for line in answer.stderr.splitlines() if line.startswith("  File ")]
    assert all("score.py" in frame for frame in frames)
    assert bool(frames) == ("script raised" in said)


def test_an_import_that_fails_shows_the_users_frames_only(tmp_path: Path) -> None:
    answer = debug(tmp_path, "import no_such_module\ndef run(mini_batch): ...\n")
    assert answer.returncode == ExitStatus.USAGE
    assert answer.stderr.count('  File "') == 1
    assert "ModuleNotFoundError: No module named 'no_such_module'" in answer.stderr


def test_missing_rows_are_reported(tmp_path: Path) -> None:
    answer = debug(tmp_path, "def run(mini_batch):\n    return mini_batch[:1]\n")
    assert answer.returncode == 0
    assert "1 rows are missing" in answer.stderr


def test_pdb_works(tmp_path: Path) -> None:
    script = "def run(mini_batch):\n    found = 41\n    breakpoint()\n    return [found + 1] * 2\n"
    answer = debug(tmp_path, script, stdin="p found\nfound = 1\nc\n")
    assert answer.returncode == 0, answer.stderr
    assert "(Pdb) 41" in answer.stdout
    assert answer.stdout.endswith("2\n2\n")
    assert debug(tmp_path, script, stdin="q\n").returncode == 130
