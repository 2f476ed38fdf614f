"""`srun mpibatch run`, as the README has it: Slurm starts the ranks, one run comes of them."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cluster.slurm import REPOSITORY, Cluster

SCRIPT = "import os\n\ndef run(mini_batch):\n    return [os.path.basename(path) for path in mini_batch]\n"
JOB = """\
name: names
inputs: {texts: {type: files, path: data}}
parallel_run_config: {entry_script: score.py, mini_batch_size: 2}
"""


@pytest.mark.parametrize(("mpi", "variable"), [("pmix", ""), ("pmi2", "MPIBATCH_MPICH_PYTHON")])
def test_srun_starts_the_ranks(cluster: Cluster, shared: Path, mpi: str, variable: str) -> None:
    python = os.environ.get(variable, "") if variable else sys.executable
    if not python:
        pytest.skip(f"{variable} does not name a python")
    (shared / "data").mkdir()
    for number in range(20):
        (shared / "data" / f"{number:02}").touch()
    (shared / "score.py").write_text(SCRIPT)
    (shared / "job.yaml").write_text(JOB)
    run = [python, "-m", "mpibatch", "run", str(shared / "job.yaml"), "--run-dir", str(shared / "run")]
    command = ("-N3", "-n6", "--gpus-per-task=1", f"--mpi={mpi}", *run)
    cluster.srun(*command, env={"PYTHONPATH": str(REPOSITORY)})
    rows = (shared / "run" / "outputs" / "parallel_run_step.txt").read_text()
    assert rows == "".join(f"{number:02}\n" for number in range(20))
    record = json.loads((shared / "run" / "run.json").read_text())
    places = sorted((rank["host"], rank["placement"]["gpu"]) for rank in record["ranks"])
    assert places == [(host, gpu) for host in ("n1", "n2", "n3") for gpu in "01"]
    assert "nothing left to do" in cluster.srun(*command, env={"PYTHONPATH": str(REPOSITORY)}).stdout
