"""Which GPUs each rank of a node gets: neighbours where it gets several, and none more often than it is shared.

GPUs that a rank sees, and where they sit --neighbours--> groups of as many as an executor owns
groups of all ranks of the node --assign_gpus--> one for each rank, or why that cannot be
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mpibatch.config.choices import Device
from mpibatch.errors import UsageError
from mpibatch.placement.gpu_locations import GpuLocation
from mpibatch.placement.gpus import Devices
from mpibatch.placement.topology import Topology


@dataclass(frozen=True, slots=True)
class NodeResources:
    """What one rank sees of its node: its visible GPUs, and the CPUs it may run on.

    locations: of each of the GPUs, in their order; empty where nothing is known
    """

    devices: Devices = field(default_factory=Devices)
    cores: tuple[int, ...] = ()
    locations: tuple[GpuLocation, ...] = ()
    topology: Topology = field(default_factory=Topology)

    def location(self, identifier: str) -> GpuLocation:
        """Where one of the GPUs sits."""
        found = dict(zip(self.devices.identifiers, self.locations, strict=False))
        return found.get(identifier, GpuLocation())


def assign_gpus(
    resources: Sequence[NodeResources], gpus_per_process: int | None, processes_per_gpu: int, device: Device
) -> list[tuple[str, ...]]:
    """GPUs for each rank: of the groups that it sees the least used; none for ranks that are to do without.

    gpus_per_process: None is what Slurm has bound to the rank, else one
    Raises UsageError where they are too few.
    """
    gpus: list[tuple[str, ...]] = [()] * len(resources)
    if device is Device.CPU:
        return gpus
    used: Counter[object] = Counter()
    # Who has the least choice goes first; ranks that all see the same take them in turn, from the first.
    for rank in sorted(range(len(resources)), key=lambda rank: (len(resources[rank].devices.identifiers), rank)):
        devices = resources[rank].devices
        if not devices.identifiers:
            if device is Device.GPU:
                raise UsageError(no_gpu_message(rank, devices))
            continue
        size = gpus_per_process or (len(devices.identifiers) if devices.task_bound else 1)
        if size > len(devices.identifiers):
            raise UsageError(too_few_visible_message(rank, devices, size))
        if size > 1 and any(name.startswith("MIG-") for name in devices.identifiers):
            raise UsageError(mig_message(size, devices))
        if devices.task_bound and len(devices.identifiers) == size:
            gpus[rank] = devices.identifiers  # the scheduler's decision, sharing included
            continue
        where = (devices.variable, devices.device_files, rank if devices.task_bound else None)
        chosen = min(
            neighbours(resources[rank], size), key=lambda group: max(used[(where, identifier)] for identifier in group)
        )
        used.update((where, identifier) for identifier in chosen)
        if max(used[(where, identifier)] for identifier in chosen) > processes_per_gpu:
            raise UsageError(too_few_gpus_message(resources, size, processes_per_gpu))
        gpus[rank] = chosen
    return gpus


def neighbours(resources: NodeResources, size: int) -> list[tuple[str, ...]]:
    """The visible GPUs in groups of `size`, those left over dropped.

    As many groups as can be lie within a NUMA node; what is left over there is grouped with the nearest node that has
    some left over. Within a node they go by their address on the bus, so that those on one switch are together.
    """
    order = {identifier: place for place, identifier in enumerate(resources.devices.identifiers)}
    by_node: dict[int, list[str]] = {}
    for identifier in sorted(order, key=lambda name: (resources.location(name).address, order[name])):
        by_node.setdefault(resources.location(identifier).node, []).append(identifier)
    within, left_over = [], {}
    for node, members in by_node.items():
        whole = len(members) // size * size
        within += [members[start : start + size] for start in range(0, whole, size)]
        left_over[node] = members[whole:]
    across = []
    while sum(map(len, left_over.values())) >= size:
        first = next(node for node, members in left_over.items() if members)
        near = sorted(left_over, key=lambda node: resources.topology.distance(first, node))
        group = [identifier for node in near for identifier in left_over[node]][:size]
        left_over = {node: [name for name in members if name not in group] for node, members in left_over.items()}
        across.append(group)
    ordered = [tuple(sorted(group, key=order.__getitem__)) for group in (*within, *across)]
    return sorted(ordered[: len(within)], key=lambda group: order[group[0]]) + ordered[len(within) :]


def no_gpu_message(rank: int, devices: Devices) -> str:
    return (
        f"device is gpu, but local rank {rank} sees no GPU (looked at {devices.variable}, /dev, /proc, /sys"
        " and nvidia-smi). Ask the scheduler for GPUs, for example with --gpus-per-task=1, or set"
        " `device: auto` or `device: cpu`."
    )


def too_few_visible_message(rank: int, devices: Devices, size: int) -> str:
    seen = len(devices.identifiers)
    option = "--gpus-per-task" if devices.task_bound else "--gpus-per-node"
    return (
        f"gpus_per_process is {size}, but local rank {rank} sees only {_gpus(devices.identifiers)}. Ask the scheduler"
        f" for them ({option}={size}), or set `gpus_per_process: {seen}`, or set `device: cpu`."
    )


def mig_message(size: int, devices: Devices) -> str:
    return (
        f"An executor is to have {size} GPUs (gpus_per_process, or srun --gpus-per-task), but these are MIG devices "
        f"({', '.join(devices.identifiers)}), of which CUDA lets a process use one. Set `gpus_per_process: 1`, or ask "
        "for whole GPUs."
    )


def too_few_gpus_message(resources: Sequence[NodeResources], size: int, processes_per_gpu: int) -> str:
    ranks = sum(1 for rank_resources in resources if rank_resources.devices.identifiers)
    seen = {
        (identifier, rank_resources.devices.device_files)
        for rank_resources in resources
        for identifier in rank_resources.devices.identifiers
    }
    names = sorted((identifier for identifier, _ in seen), key=lambda name: (len(name), name))
    groups = len(names) // size
    room = groups * processes_per_gpu
    needed = -(-ranks // groups)
    advice = f"Start at most {room} a node (-n, process_count_per_node)" if room < ranks else "Start fewer"
    if (fewer := len(names) * processes_per_gpu // ranks) and fewer < size:
        advice += f", or set `gpus_per_process: {fewer}`"
    if needed > processes_per_gpu:
        advice += f", or set `processes_per_gpu: {needed}` if the model fits that often"
    each = "" if size == 1 else f" of {size} GPUs each"
    return (
        f"{ranks} executors{each} on this node for {_gpus(names)}, with processes_per_gpu {processes_per_gpu}."
        f" {advice}, or set `device: cpu`."
    )


def uneven_message(gpus: int, size: int) -> str:
    """Why `process_count_per_node: auto` is no number: the GPUs do not divide among executors of `size` GPUs."""
    fit = [str(divisor) for divisor in range(1, gpus + 1) if gpus % divisor == 0]
    if size > gpus:
        return (
            f"gpus_per_process is {size}, but a node has only {gpus}. Set `gpus_per_process` to "
            f"{_either(fit)}, or `device: cpu`."
        )
    return (
        f"gpus_per_process is {size}, and the {gpus} GPUs of a node do not divide by that: {gpus % size} would be left "
        f"over. Set `gpus_per_process` to {_either(fit)}, or `process_count_per_node: {gpus // size}` to leave them."
    )


def _gpus(names: Sequence[str]) -> str:
    return f"{len(names)} GPU{'s' if len(names) > 1 else ''} ({', '.join(names)})"


def _either(words: Sequence[str]) -> str:
    return " or ".join(([", ".join(words[:-1])] if words[:-1] else []) + list(words[-1:]))
