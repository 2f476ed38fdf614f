"""A pipeline on Slurm: one job for all of its steps, from the command line and from a program."""

import sys
from pathlib import Path

import pytest
import yaml

from mpibatch.errors import ExitStatus
from tests.cluster.slurm import Cluster
from tests.cluster.work import MPIBATCH
from tests.pipelines.conftest import states, write

pytestmark = [pytest.mark.processes, pytest.mark.ci]

PROGRAM = """
import sys
import yaml
from mpibatch import Experiment, Pipeline, SlurmCompute, Workspace

workspace = Workspace()
workspace.default_compute = SlurmCompute(nodes=2, time="5")
pipeline = Pipeline.from_data(workspace, yaml.safe_load(open("pipeline.yaml")), ".")
run = Experiment(workspace, "on-slurm").submit(pipeline, pipeline_parameters={"count": 4})
print(run.wait_for_completion(show_output=False), run.directory.path)
"""


def test_a_pipeline_is_one_job(cluster: Cluster, shared: Path) -> None:
    """Scripts run on the first node, the parallel step on both; every step's output is where the next one reads it."""
    write(shared)
    data = yaml.safe_load((shared / "pipeline.yaml").read_text())
    data["steps"][2]["parallel_run_config"] |= {"node_count": 2, "process_count_per_node": 2, "mini_batch_size": 1}
    (shared / "pipeline.yaml").write_text(yaml.safe_dump(data))
    run_dir = shared / "run"
    command = [*MPIBATCH, "submit", "pipeline.yaml", "--time", "5", "--run-dir", str(run_dir), "--wait"]
    said = cluster.run(command, cwd=shared, timeout=150, check=False)
    assert said.returncode == ExitStatus.COMPLETE, said.stdout + said.stderr
    assert states(run_dir) == dict.fromkeys(["prepare", "score", "report"], "completed")
    assert (run_dir / "steps/report/outputs/report.txt").read_text() == "6 rows\n"
    assert {path.name for path in (run_dir / "steps/score/logs/user/stdout").iterdir()} == {"n1", "n2"}
    assert cluster.run(["squeue", "--noheader"]).stdout == ""

    environment = {"MPIBATCH_HOME": str(shared / "home")}
    program = cluster.run([sys.executable, "-c", PROGRAM], cwd=shared, timeout=150, env=environment, check=False)
    assert program.returncode == 0, program.stdout + program.stderr
    ended, path = program.stdout.split()
    assert ended == "Finished"
    assert (Path(path) / "steps/report/outputs/report.txt").read_text() == "4 rows\n"
    assert (Path(path) / "slurm_job").read_text().strip().isdecimal()
