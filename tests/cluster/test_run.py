"""`mpibatch run` on the cluster: every way in which ranks start leaves the same bytes, and what cannot work says so."""

import os
import sys
from pathlib import Path

import pytest

from mpibatch.errors import ExitStatus
from tests.cluster.slurm import Cluster
from tests.cluster.work import MPIBATCH, Work, write

pytestmark = pytest.mark.processes


def run_with(python: str, work: Work) -> list[str]:
    return [python, "-m", "mpibatch", "run", str(work.job), "--run-dir", str(work.run_dir)]


def assert_done_once_by(work: Work, ranks: int) -> None:
    """In order, nothing twice, and two ranks on each node."""
    assert work.output() == work.expected
    assert work.repeated() == 0
    places = {(attempt.rank, attempt.host) for attempt in work.attempts()}
    assert places <= {(rank, f"n{rank // 2 + 1}") for rank in range(ranks)}
    assert work.summary()["ranks"] == ranks


def test_srun_with_pmix_and_open_mpi(cluster: Cluster, shared: Path, openmpi: str) -> None:
    work = write(shared)
    said = cluster.srun("-N3", "-n6", "--mpi=pmix", *run_with(openmpi, work))
    assert_done_once_by(work, 6)
    assert said.stderr == ""


@pytest.mark.ci
def test_srun_with_pmi2_and_mpich(cluster: Cluster, shared: Path, mpich: str) -> None:
    work = write(shared)
    command = ("-N3", "-n6", "--mpi=pmi2", *run_with(mpich, work))
    said = cluster.srun(*command)
    assert_done_once_by(work, 6)
    assert said.stderr == ""
    assert "nothing left to do" in cluster.srun(*command).stdout


def assert_refused(cluster: Cluster, work: Work, python: str, wrong: str, right: str) -> None:
    """Said once, not by every rank, and before anything is made; without the library's own words."""
    said = cluster.srun("-N3", "-n6", f"--mpi={wrong}", *run_with(python, work), check=False)
    assert said.returncode == ExitStatus.USAGE
    lines = [line for line in said.stderr.splitlines() if not line.startswith("srun: ")]
    assert len(lines) == 1
    assert "Slurm started 6 processes" in lines[0]
    assert f"srun --mpi={right}" in lines[0]
    assert not work.run_dir.exists()
    doctor = cluster.srun("-n2", f"--mpi={wrong}", python, "-m", "mpibatch", "doctor", check=False)
    assert doctor.returncode == ExitStatus.USAGE
    assert f"srun --mpi={right}" in doctor.stdout


@pytest.mark.ci
def test_srun_with_pmi2_and_open_mpi_is_refused(cluster: Cluster, shared: Path, openmpi: str) -> None:
    assert_refused(cluster, write(shared), openmpi, "pmi2", "pmix")


@pytest.mark.ci
def test_srun_with_pmix_and_mpich_is_refused(cluster: Cluster, shared: Path, mpich: str) -> None:
    assert_refused(cluster, write(shared), mpich, "pmix", "pmi2")


@pytest.mark.ci
def test_srun_without_pmi_is_refused(cluster: Cluster, shared: Path, openmpi: str) -> None:
    """What shows only after MPI_Init: each process is alone."""
    work = write(shared)
    said = cluster.srun("-n2", "--mpi=none", *run_with(openmpi, work), check=False)
    assert said.returncode == ExitStatus.USAGE
    assert "srun --mpi=pmix" in said.stderr
    assert not work.run_dir.exists()


@pytest.mark.ci
@pytest.mark.parametrize("which", ["openmpi", "mpich"])
def test_mpirun_in_an_allocation(cluster: Cluster, shared: Path, which: str, request: pytest.FixtureRequest) -> None:
    """mpibatch starts mpirun itself, two ranks a node though Slurm was asked for one task on each."""
    work = write(shared)
    python = str(request.getfixturevalue(which))
    said = cluster.run(["salloc", "-N3", "--ntasks-per-node=1", *run_with(python, work), "-n", "6"])
    assert_done_once_by(work, 6)
    assert "Slurm allocated 3 tasks (SLURM_NTASKS), and there are 6 ranks" in said.stderr


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_mpirun_where_slurm_starts_no_mpi_unless_told(openmpi: str, mpich: str) -> None:
    """Sites with MpiDefault=none are fewer than those with pmix, as the cluster of the other tests."""
    cluster = Cluster(nodes=2, mpi_default="none")
    cluster.up()
    try:
        for python in (openmpi, mpich):
            work = write(cluster.folder / "tests" / Path(python).parts[-3])
            cluster.run(["salloc", "-N2", "--ntasks-per-node=2", *run_with(python, work), "-n", "4"])
            assert_done_once_by(work, 4)
        work = write(cluster.folder / "tests" / "srun")
        cluster.srun("-N2", "-n4", "--mpi=pmix", *run_with(openmpi, work))
        assert_done_once_by(work, 4)
    finally:
        cluster.down()


@pytest.mark.ci
def test_one_task_of_srun_starts_mpirun(cluster: Cluster, shared: Path) -> None:
    """`srun --pty bash` gives a step of one task: the user is no rank there."""
    work = write(shared, total=4)
    cluster.srun("-N1", "-n1", "--exclusive", "--mpi=none", *run_with(sys.executable, work), "-n", "2")
    assert work.output() == work.expected
    assert work.summary()["ranks"] == 2


def gpus_used(work: Work) -> dict[int, tuple[str, str]]:
    """Host and GPU of each rank that worked."""
    found: dict[int, tuple[str, str]] = {}
    for attempt in work.attempts():
        place = (attempt.host, attempt.gpu)
        assert found.setdefault(attempt.rank, place) == place
    return found


@pytest.mark.ci
@pytest.mark.parametrize("asked", ["--gpus-per-task=1", "--gres=gpu:2"])
def test_every_gpu_is_used_by_one_rank(cluster: Cluster, shared: Path, asked: str, srun_mpi: str) -> None:
    """Bound by Slurm to single tasks, or seen by all tasks of a node: either way each index once on each node."""
    work = write(shared, total=60, seconds=0.1)
    cluster.srun("-N3", "-n6", asked, srun_mpi, *run_with(sys.executable, work))
    assert work.output() == work.expected
    used = gpus_used(work)
    assert sorted(used.values()) == [(f"n{node}", gpu) for node in (1, 2, 3) for gpu in "01"]


@pytest.mark.ci
@pytest.mark.parametrize(("tasks", "asked"), [(2, "--gpus-per-task=2"), (4, "--gpus-per-node=2")])
def test_several_gpus_for_each_rank(cluster: Cluster, shared: Path, tasks: int, asked: str, srun_mpi: str) -> None:
    """All that Slurm bound to the task are its executor's; where all tasks see all GPUs two are too few for two."""
    work = write(shared, total=20, seconds=0.1, gpus_per_process="auto" if tasks == 2 else 2)
    nodes = f"--ntasks-per-node={tasks // 2}"
    said = cluster.srun("-N2", nodes, asked, srun_mpi, *run_with(sys.executable, work), check=tasks == 2)
    if tasks == 2:
        assert work.output() == work.expected
        assert sorted(gpus_used(work).values()) == [("n1", "0,1"), ("n2", "0,1")]
    else:
        assert said.returncode == ExitStatus.USAGE
        assert "2 executors of 2 GPUs each on this node for 2 GPUs (0, 1)" in said.stderr + said.stdout
        assert "`gpus_per_process: 1`" in said.stderr + said.stdout


@pytest.mark.ci
def test_ranks_that_outnumber_gpus(cluster: Cluster, shared: Path, srun_mpi: str) -> None:
    work = write(shared)
    said = cluster.srun("-N1", "-n2", "--gres=gpu:1", srun_mpi, *run_with(sys.executable, work), check=False)
    assert said.returncode == ExitStatus.USAGE
    assert "2 executors on this node for 1 GPU (0)" in said.stderr + said.stdout
    assert "processes_per_gpu: 2" in said.stderr + said.stdout
    assert work.attempts() == []


@pytest.mark.ci
def test_auto_is_one_rank_per_core_of_all_nodes(cluster: Cluster, shared: Path) -> None:
    work = write(shared, process_count_per_node="auto")
    cluster.run(["salloc", "-N3", "--exclusive", *MPIBATCH, "run", str(work.job), "--run-dir", str(work.run_dir)])
    assert_done_once_by(work, 3 * min(2, len(os.sched_getaffinity(0))))
