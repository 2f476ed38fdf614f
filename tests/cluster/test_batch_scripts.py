"""The scripts of slurm/, submitted as they are."""

import os
import sys
from pathlib import Path

import pytest

from tests.cluster.slurm import REPOSITORY, Cluster, wait_until
from tests.cluster.work import Work, write

pytestmark = [pytest.mark.processes, pytest.mark.ci]


@pytest.fixture
def path(shared: Path) -> str:
    """A PATH on which `mpibatch` is this checkout's; sbatch passes it on to the job."""
    program = shared / "bin" / "mpibatch"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mpibatch "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def submit(cluster: Cluster, work: Work, path: str, script: str, *arguments: str) -> int:
    """In the folder of the job, as the scripts' own first lines say."""
    script = str(REPOSITORY / "slurm" / script)
    return cluster.sbatch(script, "job.yaml", *arguments, cwd=work.folder, env={"PATH": path})


def assert_completed(cluster: Cluster, work: Work, job: int, run: str) -> None:
    state = cluster.wait_job(job)
    log = work.folder / f"mpibatch-{job}.txt"
    assert state == "COMPLETED", log.read_text()
    assert work.output(work.folder / run) == work.expected


def test_cpu(cluster: Cluster, shared: Path, path: str) -> None:
    work = write(shared / "a folder", total=40)
    job = submit(cluster, work, path, "cpu.sbatch")
    assert_completed(cluster, work, job, f"runs/{job}")
    assert {(attempt.rank, attempt.host) for attempt in work.attempts()} == {(0, "n1"), (1, "n1"), (2, "n2"), (3, "n2")}


def test_gpu(cluster: Cluster, shared: Path, path: str, openmpi: str) -> None:
    work = write(shared / "a folder", total=40)
    job = submit(cluster, work, path, "gpu.sbatch", "run")
    assert_completed(cluster, work, job, "run")
    assert {(attempt.host, attempt.gpu) for attempt in work.attempts()} == {
        ("n1", "0"), ("n1", "1"), ("n2", "0"), ("n2", "1")
    }  # fmt: skip


def test_multi_gpu(cluster: Cluster, shared: Path, path: str) -> None:
    """Two GPUs for the one executor of each node; options on the command line go before those of the script."""
    work = write(shared / "a folder", total=20, seconds=0.1, gpus_per_process=2)
    options = ("--ntasks-per-node=1", "--gpus-per-node=2", "--cpus-per-task=1")
    script = str(REPOSITORY / "slurm" / "multi_gpu.sbatch")
    job = cluster.sbatch(*options, script, "job.yaml", "run", cwd=work.folder, env={"PATH": path})
    assert_completed(cluster, work, job, "run")
    assert {(attempt.host, attempt.gpu) for attempt in work.attempts()} == {("n1", "0,1"), ("n2", "0,1")}


@pytest.mark.ci
def test_container(cluster: Cluster, shared: Path, path: str, openmpi: str) -> None:
    """With an `apptainer` that notes the image and runs the command outside of it, each rank under srun."""
    images = shared / "images.txt"
    program = Path(path.split(":", maxsplit=1)[0]) / "apptainer"
    program.write_text(f'#!/bin/sh\n[ "$1 $2" = "exec --nv" ] || exit 64\necho "$3" >>{images}\nshift 3\nexec "$@"\n')
    program.chmod(0o755)
    work = write(shared / "a folder", total=40)
    job = submit(cluster, work, path, "container.sbatch", "run")
    assert_completed(cluster, work, job, "run")
    assert {(attempt.host, attempt.gpu) for attempt in work.attempts()} == {
        ("n1", "0"), ("n1", "1"), ("n2", "0"), ("n2", "1")
    }  # fmt: skip
    (image,) = set(images.read_text().splitlines())
    assert image.endswith("/images/mpibatch.sif")


def test_array(cluster: Cluster, shared: Path, path: str) -> None:
    """A run for each value: mini-batches of 5, 10 and 20 items."""
    work = write(shared / "a folder", total=20)
    job = submit(cluster, work, path, "array.sbatch")
    outputs = [work.folder / f"runs/{job}-batch_size-{value}" for value in (5, 10, 20)]
    wait_until("all runs to end", lambda: all((run / "summary.json").exists() for run in outputs), timeout=60)
    rows = [line.split() for line in work.expected.splitlines()]
    for size, run in zip((5, 10, 20), outputs, strict=True):
        expected = [f"{place // size} {name} {value}" for place, (_, name, value) in enumerate(rows)]
        assert work.output(run).splitlines() == expected


def test_requeue(cluster: Cluster, shared: Path, path: str) -> None:
    """What Slurm does before the time limit, and a run over two allocations."""
    work = write(shared / "a folder", total=40, seconds=0.5)
    job = submit(cluster, work, path, "requeue.sbatch", "run")
    wait_until("mini-batches to be done", lambda: len(work.attempts()) > 8)
    cluster.run(["scancel", "--batch", "--signal=USR1", str(job)])
    wait_until("the job to leave", lambda: cluster.job_state(job) == "PENDING")
    assert 0 < len(work.attempts()) < work.total
    assert_completed(cluster, work, job, "run")
    assert cluster.job_field(job, "Restarts") == "1"
    assert work.repeated() == 0  # what ran had its grace, and nothing else had begun
