"""Which GPUs and which cores the executor of one rank gets.

    every working rank of a node: NodeResources (GPUs, CPUs, how they lie to each other) --gathered over MPI--> those
                                  of the node, by local rank
    each of them:  assign(resources)[local rank] --> Placement --environment--> variables for its executor

All ranks of a node compute the same table from the same resources and read their own line, so no message is
needed to agree. A coordinator that does not work has no executor, and no entry among the resources.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mpibatch.cluster.environment import NO_DEVICE
from mpibatch.config.choices import Device
from mpibatch.config.schema import RunConfig
from mpibatch.errors import UsageError
from mpibatch.placement.core_assignment import assign_cores, too_few_cpus_message
from mpibatch.placement.gpu_assignment import NodeResources, assign_gpus, uneven_message

THREADS = "OMP_NUM_THREADS"  # MKL's and OpenBLAS's own variables stay the user's; both follow this one


@dataclass(frozen=True, slots=True)
class Shares:
    """What one executor is to have, of the settings of these names."""

    gpus_per_process: int | None = None
    cpus_per_process: int | None = None
    processes_per_gpu: int = 1
    device: Device = Device.AUTO

    @staticmethod
    def of(config: RunConfig) -> "Shares":
        return Shares(config.gpus_per_process, config.cpus_per_process, config.processes_per_gpu, config.device)


@dataclass(frozen=True, slots=True)
class Placement:
    """What one executor owns.

    gpus:         identifiers as `gpu_variable` takes them; none: the executor computes on its cores
    gpu_variable: the variable to set; with no gpus the one that hides those there are; None where there
                  are none
    cores:        the CPUs that the executor is bound to
    threads:      how many threads its libraries should start: as many as it has cores, hyperthreads not counted
    numa_nodes:   those of its CPUs
    """

    gpus: tuple[str, ...]
    gpu_variable: str | None
    cores: tuple[int, ...]
    threads: int
    numa_nodes: tuple[int, ...] = ()


def allowed_cores() -> tuple[int, ...]:
    """The CPUs that this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0)))


def executors_per_node(resources: NodeResources, shares: Shares | None = None) -> int:
    """What `process_count_per_node: auto` means on such a node: what its GPUs take, else what its CPUs take.

    Raises UsageError where the GPUs do not divide among executors, or there are too few CPUs for one.
    """
    shares = shares or Shares()
    gpus = len(resources.devices.identifiers)
    if shares.device is not Device.CPU and gpus:
        if gpus % (shares.gpus_per_process or 1):
            raise UsageError(uneven_message(gpus, shares.gpus_per_process or 1))
        return gpus // (shares.gpus_per_process or 1) * shares.processes_per_gpu
    cpus = len(resources.cores)
    if shares.cpus_per_process is not None and 0 < cpus < shares.cpus_per_process:
        raise UsageError(too_few_cpus_message(1, cpus, shares.cpus_per_process))
    return max(1, cpus // (shares.cpus_per_process or 1))


def assign(resources: Sequence[NodeResources], shares: Shares | None = None) -> list[Placement]:
    """The places of a node's working ranks, by local rank; `resources` are their views.

    `auto` is a GPU where the rank sees one, else cores. Where GPUs are seen but too few of them, `auto`
    fails as `gpu` does: half of the executors on cores would be slow at best, and out of memory or of other
    numbers at worst. Raises UsageError with the numbers that would fit.
    """
    shares = shares or Shares()
    gpus = assign_gpus(resources, shares.gpus_per_process, shares.processes_per_gpu, shares.device)
    cores = assign_cores(resources, gpus, shares.cpus_per_process)
    return [
        _placement(resources[rank], gpus[rank], cores[rank], shares.device is Device.CPU)
        for rank in range(len(resources))
    ]


def _placement(resources: NodeResources, gpus: tuple[str, ...], cores: tuple[int, ...], without: bool) -> Placement:
    seen, topology = resources.devices, resources.topology
    hides = without and bool(seen.identifiers) and seen.variable in NO_DEVICE
    return Placement(
        gpus=gpus,
        gpu_variable=seen.variable if gpus or hides else None,
        cores=cores,
        threads=max(1, len(topology.cores(cores))),
        numa_nodes=tuple(sorted({topology.node(cpu) for cpu in cores})),
    )


def placement_environment(placement: Placement, user_env: Mapping[str, str]) -> dict[str, str]:
    """The variables to lay over an executor's environment, last of all.

    `user_env` is what the user set, in the shell or in the job's environment_variables. A visibility
    variable in it was honoured when the devices were found, and is narrowed here to those that the
    executor owns.
    """
    result: dict[str, str] = {}
    if placement.gpu_variable is not None:
        result[placement.gpu_variable] = ",".join(placement.gpus) or NO_DEVICE[placement.gpu_variable]
    if not user_env.get(THREADS):
        result[THREADS] = str(placement.threads)
    return result
