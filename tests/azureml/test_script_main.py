"""Script steps' scripts: as plain Python runs them, and with Azure's modules."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from azureml.core import Run
import neighbour
run = Run.get_context()
run.log("count", len(sys.argv) - 1)
print(__name__, sys.argv[1:], neighbour.X)
sys.exit(7)
"""


def test_a_script_finds_its_run_and_its_neighbours(tmp_path: Path) -> None:
    """Name, arguments, folder and exit status are those of a plain script."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text(SCRIPT)
    (tmp_path / "code" / "neighbour.py").write_text("X = 1\n")
    ran = subprocess.run(
        [sys.executable, "-m", "mpibatch.script_main", "code/main.py", "a", "--b"],
        check=False, cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "MPIBATCH_RUN_DIR": str(tmp_path / "run"), "MPIBATCH_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (7, "__main__ ['a', '--b'] 1\n"), ran.stderr
    assert '"count"' in (tmp_path / "run" / "metrics" / "rank0.jsonl").read_text()
