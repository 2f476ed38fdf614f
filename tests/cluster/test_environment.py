"""Who started this process: environments as launchers leave them, reduced to what matters."""

import pytest

from mpibatch.cluster.environment import (
    Launcher,
    LauncherName,
    detect_launcher,
    gpus_bound_to_task,
    without_launcher_variables,
)

OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_RANK": "3",
    "PMIX_NAMESPACE": "prterun-node-6885@1",
    "PRTE_LAUNCHED": "1",
}
MPICH = {
    "PMI_RANK": "1",
    "PMI_SIZE": "2",
    "PMI_FD": "9",
    "MPI_LOCALRANKID": "1",
    "MPI_LOCALNRANKS": "2",
    "HYDI_CONTROL_FD": "7",
}
PALS = {
    "PALS_RANKID": "5",
    "PALS_LOCAL_RANKID": "1",
    "PALS_LOCAL_SIZE": "4",
    "PMI_RANK": "5",
    "PMI_SIZE": "8",
}
BATCH_SCRIPT = {
    "SLURM_JOB_ID": "17",
    "SLURM_JOB_NODELIST": "n[1-2]",
    "SLURM_NTASKS": "6",
    "SLURM_NPROCS": "6",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_TASKS_PER_NODE": "3(x2)",
}
STEP = BATCH_SCRIPT | {
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "3(x2)",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_SRUN_COMM_PORT": "41000",
    "SLURM_PMIXP_ABORT_AGENT_PORT": "41001",
}
PTY_SHELL = STEP | {
    "SLURM_STEP_NUM_TASKS": "1",
    "SLURM_STEP_TASKS_PER_NODE": "1",
    "SLURM_PROCID": "0",
    "PMI_RANK": "0",  # srun --mpi=pmi2
    "PMI_SIZE": "1",
}


@pytest.mark.parametrize(
    ("env", "launcher"),
    [
        ({}, None),
        (OPEN_MPI, Launcher(LauncherName.OPEN_MPI, 3, 4, 1, 2)),
        (MPICH, Launcher(LauncherName.MPICH, 1, 2, 1, 2)),
        (PALS, Launcher(LauncherName.PALS, 5, 8, 1, 4)),
        ({"PALS_RANKID": "5"}, Launcher(LauncherName.PALS, 5, None, None, None)),
        ({"PMI_RANK": "2", "PMI_SIZE": "3"}, Launcher(LauncherName.PMI, 2, 3, None, None)),
        (STEP, Launcher(LauncherName.SLURM, 4, 6, 1, 3)),
        (BATCH_SCRIPT, None),
        (PTY_SHELL, None),
        ({"OMPI_COMM_WORLD_RANK": ""}, None),
    ],
)
def test_the_launcher_is_known_by_its_variables(env: dict[str, str], launcher: Launcher | None) -> None:
    assert detect_launcher(env) == launcher


@pytest.mark.parametrize("outer", [BATCH_SCRIPT, STEP, PTY_SHELL])
@pytest.mark.parametrize(("inner", "name"), [(OPEN_MPI, LauncherName.OPEN_MPI), (MPICH, LauncherName.MPICH)])
def test_mpirun_inside_slurm_is_what_counts(outer: dict[str, str], inner: dict[str, str], name: LauncherName) -> None:
    launcher = detect_launcher(outer | inner)
    assert launcher is not None
    assert launcher.name is name


@pytest.mark.parametrize(
    ("node", "tasks", "local_size"),
    [("0", "2(x3),1", 2), ("2", "2(x3),1", 2), ("3", "2(x3),1", 1), ("4", "2", None)],
)
def test_slurms_tasks_per_node(node: str, tasks: str, local_size: int | None) -> None:
    launcher = detect_launcher(STEP | {"SLURM_NODEID": node, "SLURM_STEP_TASKS_PER_NODE": tasks})
    assert launcher is not None
    assert launcher.local_size == local_size


def test_executors_see_no_launcher_but_the_job_they_run_in() -> None:
    kept = {
        "PATH": "/usr/bin",
        "SLURM_JOB_ID": "17",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_CPUS_PER_TASK": "2",
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": "4",
        "OPAL_PREFIX": "/opt/openmpi",
    }
    cleaned = without_launcher_variables(OPEN_MPI | MPICH | PALS | STEP | kept)
    assert cleaned == kept
    assert detect_launcher(cleaned) is None


@pytest.mark.parametrize(
    ("env", "bound"),
    [
        (STEP, False),
        (STEP | {"SLURM_GPUS_PER_TASK": "1"}, True),
        (STEP | {"SLURMD_TRES_BIND": "gpu:per_task:1"}, True),  # what a task of srun --gpus-per-task=1 has
        (STEP | {"SLURMD_TRES_BIND": "gpu:map_gpu:1,0"}, True),
        (STEP | {"SLURM_GPU_BIND": "single:2"}, True),
        (STEP | {"SLURMD_TRES_BIND": "gpu:closest"}, False),
        (STEP | {"SLURM_GPUS_PER_TASK": "1", "SLURMD_TRES_BIND": "gpu:none"}, False),
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": "1(x6)"}, True),  # alone on its node
        (STEP | OPEN_MPI | {"SLURM_GPUS_PER_TASK": "1"}, False),
        (BATCH_SCRIPT | {"SLURM_GPUS_PER_TASK": "1"}, False),
    ],
)
def test_gpus_that_slurm_bound_to_a_task(env: dict[str, str], bound: bool) -> None:
    assert gpus_bound_to_task(env) is bound
