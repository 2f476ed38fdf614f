"""The scripts of slurm/, submitted as they are, with a stand-in for `mpibatch` that notes its start."""

import os
from pathlib import Path

import pytest

from tests.cluster.slurm import REPOSITORY, Cluster, wait_until

STAND_IN = """#!/bin/bash
trap 'exit 75' USR1
echo "$(hostname) gpu=$CUDA_VISIBLE_DEVICES restart=${SLURM_RESTART_COUNT:-0} $*" >>seen
while [ -e linger ]; do sleep 0.1; done
"""


@pytest.fixture
def path(shared: Path) -> str:
    """A PATH on which `mpibatch` is the stand-in; sbatch passes it on to the job."""
    program = shared / "bin" / "mpibatch"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def submit(cluster: Cluster, shared: Path, path: str, script: str) -> int:
    return cluster.sbatch(str(REPOSITORY / "slurm" / script), "my job.yaml", cwd=shared, env={"PATH": path})


def seen(shared: Path) -> list[str]:
    file = shared / "seen"
    return sorted(file.read_text().splitlines()) if file.exists() else []


def test_cpu(cluster: Cluster, shared: Path, path: str) -> None:
    job = submit(cluster, shared, path, "cpu.sbatch")
    assert cluster.wait_job(job) == "COMPLETED"
    assert seen(shared) == [f"n1 gpu= restart=0 run my job.yaml --run-dir runs/{job} -n 4"]


def test_gpu(cluster: Cluster, shared: Path, path: str) -> None:
    job = submit(cluster, shared, path, "gpu.sbatch")
    assert cluster.wait_job(job) == "COMPLETED"
    started = f"restart=0 run my job.yaml --run-dir runs/{job}"
    assert seen(shared) == [f"{node} gpu={gpu} {started}" for node in ("n1", "n2") for gpu in (0, 1)]


def test_array(cluster: Cluster, shared: Path, path: str) -> None:
    job = submit(cluster, shared, path, "array.sbatch")
    wait_until("all values to be run", lambda: len(seen(shared)) == 3, timeout=60)
    told = [line.split(" run ")[1] for line in seen(shared)]
    assert sorted(told) == sorted(
        f"my job.yaml --set batch_size={value} --run-dir runs/{job}-batch_size-{value} -n 2"
        for value in (5, 10, 20)
    )


def test_requeue(cluster: Cluster, shared: Path, path: str) -> None:
    (shared / "linger").touch()
    job = submit(cluster, shared, path, "requeue.sbatch")
    wait_until("the program to start", lambda: len(seen(shared)) == 1)
    cluster.run(["scancel", "--batch", "--signal=USR1", str(job)])  # what Slurm does before the time limit
    wait_until("the job to leave", lambda: cluster.job_state(job) == "PENDING")
    (shared / "linger").unlink()
    assert cluster.wait_job(job) == "COMPLETED"
    starts = [line.split()[2] for line in seen(shared)]
    assert starts == ["restart=0", "restart=1"]
    assert cluster.job_field(job, "Restarts") == "1"
