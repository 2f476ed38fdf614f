"""Which GPU and which cores the executor of one rank gets.

    every working rank of a node: Sight (GPUs, cores) --gathered over MPI--> the node's sights, by local rank
    each of them:  place(local rank, sights) --> Placement --environment--> variables for its executor

All ranks of a node compute the same table from the same sights and read their own line, so no message is
needed to agree. A coordinator that does not work has no executor, and no place among the sights.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mpibatch.config.schema import Device
from mpibatch.errors import UsageError
from mpibatch.placement.gpus import Devices
from mpibatch.placement.variables import NO_DEVICE

THREADS = "OMP_NUM_THREADS"  # MKL's and OpenBLAS's own variables stay the user's; both follow this one


@dataclass(frozen=True, slots=True)
class Sight:
    """What one rank sees of its node: its visible GPUs, and the cores it may run on."""

    devices: Devices = field(default_factory=Devices)
    cores: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """What one executor owns.

    gpu:          its identifier as `gpu_variable` takes it; None: the executor computes on its cores
    gpu_variable: the variable to set; with no gpu the one that hides those there are; None where there
                  are none
    cores:        what the executor is bound to
    threads:      how many threads its libraries should start
    """

    gpu: str | None
    gpu_variable: str | None
    cores: tuple[int, ...]
    threads: int


def allowed_cores() -> tuple[int, ...]:
    """The cores that this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0)))


def executors_per_node(sight: Sight, processes_per_gpu: int = 1, device: Device = Device.AUTO) -> int:
    """What `process_count_per_node: auto` means on such a node: what its GPUs take, else one per core."""
    if device is not Device.CPU and sight.devices.identifiers:
        return len(sight.devices.identifiers) * processes_per_gpu
    return max(1, len(sight.cores))


def place(
    local_rank: int,
    sights: Sequence[Sight],
    *,
    processes_per_gpu: int = 1,
    device: Device = Device.AUTO,
) -> Placement:
    """The place of one of a node's working ranks; `sights[local_rank]` is its own view.

    `auto` is a GPU where the rank sees one, else cores. Where GPUs are seen but too few of them, `auto`
    fails as `gpu` does: half of the executors on cores would be slow at best, and out of memory or of other
    numbers at worst.
    """
    gpus = assign_gpus(sights, processes_per_gpu, device)
    cores = assign_cores([sight.cores for sight in sights])[local_rank]
    seen = sights[local_rank].devices
    hides = device is Device.CPU and bool(seen.identifiers) and seen.variable in NO_DEVICE
    gpu = gpus[local_rank]
    return Placement(
        gpu=gpu,
        gpu_variable=seen.variable if gpu is not None or hides else None,
        cores=cores,
        threads=max(1, len(cores)),
    )


def environment(placement: Placement, user_env: Mapping[str, str]) -> dict[str, str]:
    """The variables to lay over an executor's environment, last of all.

    `user_env` is what the user set, in the shell or in the job's environment_variables. A visibility
    variable in it was honoured when the devices were found, and is narrowed here to the one that the
    executor owns.
    """
    result: dict[str, str] = {}
    if placement.gpu_variable is not None:
        result[placement.gpu_variable] = placement.gpu or NO_DEVICE[placement.gpu_variable]
    if not user_env.get(THREADS):
        result[THREADS] = str(placement.threads)
    return result


def assign_gpus(sights: Sequence[Sight], processes_per_gpu: int, device: Device) -> list[str | None]:
    """A GPU for each rank: of those it sees the least used; None for ranks that are to do without."""
    gpus: list[str | None] = [None] * len(sights)
    if device is Device.CPU:
        return gpus
    used: Counter[object] = Counter()
    # Who has the least choice goes first; ranks that all see the same take them in turn, from the first.
    for rank in sorted(range(len(sights)), key=lambda rank: (len(sights[rank].devices.identifiers), rank)):
        devices = sights[rank].devices
        if not devices.identifiers:
            if device is Device.GPU:
                raise UsageError(none_seen(rank, devices))
            continue
        if devices.bound and len(devices.identifiers) == 1:
            gpus[rank] = devices.identifiers[0]  # the scheduler's decision, sharing included
            continue
        where = (devices.variable, devices.nodes, rank if devices.bound else None)
        chosen = min(devices.identifiers, key=lambda identifier: used[(where, identifier)])
        used[(where, chosen)] += 1
        if used[(where, chosen)] > processes_per_gpu:
            raise UsageError(too_few(sights, processes_per_gpu))
        gpus[rank] = chosen
    return gpus


def none_seen(rank: int, devices: Devices) -> str:
    return (
        f"device is gpu, but local rank {rank} sees no GPU (looked at {devices.variable}, /dev, /proc, /sys"
        " and nvidia-smi). Ask the scheduler for GPUs, for example with --gpus-per-task=1, or set"
        " `device: auto` or `device: cpu`."
    )


def too_few(sights: Sequence[Sight], processes_per_gpu: int) -> str:
    ranks = sum(1 for sight in sights if sight.devices.identifiers)
    seen = {(identifier, sight.devices.nodes) for sight in sights for identifier in sight.devices.identifiers}
    names = sorted(identifier for identifier, _ in seen)
    gpus = f"{len(names)} GPU{'s' if len(names) > 1 else ''} ({', '.join(names)})"
    room = len(names) * processes_per_gpu
    needed = -(-ranks // len(names))
    advice = f"Start at most {room} a node (-n, process_count_per_node)" if room < ranks else "Start fewer"
    if needed > processes_per_gpu:
        advice += f", or set `processes_per_gpu: {needed}` if the model fits that often"
    return (
        f"{ranks} executors on this node for {gpus}, with processes_per_gpu {processes_per_gpu}."
        f" {advice}, or set `device: cpu`."
    )


def assign_cores(allowed: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Each rank's cores: its slice of a set that ranks share, or the whole of a set that is its own.

    Ranks share one set for the whole node if nothing bound them, or one for each socket if the
    launcher bound them to those.
    """
    sharing: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for rank, cores in enumerate(allowed):
        sharing[cores].append(rank)
    owned = {
        rank: piece
        for cores, ranks in sharing.items()
        for rank, piece in zip(ranks, slices(cores, len(ranks)), strict=True)
    }
    return [owned[rank] for rank in range(len(allowed))]


def slices(cores: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    """Contiguous slices as equal as can be, longer ones first; with too few cores one each, in turn."""
    cores = tuple(sorted(cores))
    if not cores:
        return [()] * count
    if count > len(cores):
        return [(cores[rank % len(cores)],) for rank in range(count)]
    each, longer = divmod(len(cores), count)
    ends = [rank * each + min(rank, longer) for rank in range(count + 1)]
    return [cores[start:end] for start, end in pairwise(ends)]
