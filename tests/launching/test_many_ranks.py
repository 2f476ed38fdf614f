"""More ranks than cores by far: what is cheap for one rank may not be for sixty-four."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpibatch.cluster.environment import without_launcher_variables

pytestmark = [pytest.mark.processes, pytest.mark.ci]

ROOT = Path(__file__).parents[2]
RANKS = 64


@pytest.mark.timeout(400)
def test_sixty_four_ranks_on_one_machine(tmp_path: Path) -> None:
    """All of them register, the coordinator leaves the work to the others, and the output is as from one rank."""
    (tmp_path / "data").mkdir()
    for number in range(2 * RANKS):
        (tmp_path / "data" / f"{number:03}.txt").touch()
    (tmp_path / "score.py").write_text(
        "import os\n\ndef run(mini_batch):\n    return [os.path.basename(mini_batch[0])]\n"
    )
    job = {
        "name": "names",
        "inputs": {"texts": {"type": "files", "path": "data"}},
        "parallel_run_config": {"entry_script": "score.py", "mini_batch_size": 1},
    }
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    run = [sys.executable, "-m", "mpibatch", "run", "job.yaml", "-n", str(RANKS), "--run-dir", "run"]
    environment = {**without_launcher_variables(os.environ), "PYTHONPATH": str(ROOT)}
    said = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said
    rows = (tmp_path / "run" / "outputs" / "parallel_run_step.txt").read_text().splitlines()
    assert rows == [f"{number:03}.txt" for number in range(2 * RANKS)]
    ranks = json.loads((tmp_path / "run" / "run.json").read_text())["ranks"]
    assert len(ranks) == RANKS
    assert [rank["local_rank"] for rank in ranks[1:]] == list(range(RANKS - 1))
    assert ranks[0]["placement"] is None  # with so many ranks the coordinator has enough to do
