"""Which CPUs the executor of each rank of a node is bound to.

    CPUs that ranks may run on --those who share them--> one pool for each set      bound by a launcher: a pool of one
    pool + NUMA nodes of each rank's GPUs --_deal--> whole cores of the same NUMA node, then of the nearest ones

A core with several hyperthreads is given to one executor whole, as long as there are as many cores as executors need.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from mpibatch.errors import UsageError
from mpibatch.placement.gpu_assignment import NodeResources
from mpibatch.placement.topology import NOWHERE, Topology

T = TypeVar("T")
Cores = list[tuple[int, ...]]
"""Each a tuple of its CPUs."""


def assign_cores(
    resources: Sequence[NodeResources], gpus: Sequence[tuple[str, ...]], cpus_per_process: int | None = None
) -> list[tuple[int, ...]]:
    """Each rank's CPUs: its share of a set that ranks share, or of one that is its own.

    Ranks share one set for the whole node if nothing bound them, or one for each socket if the launcher bound them to
    those. gpus: of each rank; its cores are those nearest to them.
    cpus_per_process: how many each gets; None shares out all that there are
    Raises UsageError where they are too few.
    """
    sharing: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for rank, rank_resources in enumerate(resources):
        sharing[rank_resources.cores].append(rank)
    owned: dict[int, tuple[int, ...]] = {}
    for cpus, ranks in sharing.items():
        if cpus and cpus_per_process is not None and len(ranks) * cpus_per_process > len(cpus):
            raise UsageError(too_few_cpus_message(len(ranks), len(cpus), cpus_per_process))
        homes = [_home(resources[rank], gpus[rank]) for rank in ranks]
        dealt = _deal(cpus, homes, resources[ranks[0]].topology, cpus_per_process)
        owned.update(zip(ranks, dealt, strict=True))
    return [owned[rank] for rank in range(len(resources))]


def _home(resources: NodeResources, gpus: tuple[str, ...]) -> frozenset[int]:
    """The NUMA nodes of a rank's GPUs; empty where that makes no difference or is unknown."""
    return frozenset(resources.location(gpu).node for gpu in gpus) - {NOWHERE}


def _deal(
    cpus: tuple[int, ...], homes: Sequence[frozenset[int]], topology: Topology, cpus_per_process: int | None
) -> list[tuple[int, ...]]:
    """CPUs of one set for each of the ranks that share it; `homes` are the NUMA nodes that they should come from."""
    ranks, cores = len(homes), topology.cores(cpus)
    if ranks > len(cpus):
        return [(cpus[rank % len(cpus)],) if cpus else () for rank in range(ranks)]
    threads = max(map(len, cores))
    needed = 1 if cpus_per_process is None else -(-cpus_per_process // threads)
    if needed * ranks > len(cores) or any(len(core) < threads for core in cores):
        cores, threads = [(cpu,) for cpu in _flat(cores)], 1  # hyperthreads of one core go to two executors
    pool: dict[int, Cores] = {}
    for core in cores:
        pool.setdefault(topology.node(core[0]), []).append(core)
    near_gpus = any(home & pool.keys() for home in homes)
    if not near_gpus:
        pool, homes = _spread(pool, ranks)
    if cpus_per_process is not None:
        shares = [-(-cpus_per_process // threads)] * ranks
    elif near_gpus:
        shares = [len(piece) for piece in split(cores, ranks)]
    else:
        shares = [len(cores)] * ranks
    return [tuple(sorted(_flat(taken)[:cpus_per_process])) for taken in _take(pool, homes, shares, topology)]


def _spread(pool: dict[int, Cores], ranks: int) -> tuple[dict[int, Cores], list[frozenset[int]]]:
    """Homes for ranks that no GPU draws anywhere: whole NUMA nodes, or parts of one; else all is one node."""
    nodes, total = list(pool), sum(map(len, pool.values()))
    if ranks >= len(nodes):
        # each node as many ranks as its part of the cores, the largest remainders rounded up
        exact = {node: len(pool[node]) * ranks / total for node in nodes}
        count = {node: int(exact[node]) for node in nodes}
        for node in sorted(nodes, key=lambda node: count[node] - exact[node])[: ranks - sum(count.values())]:
            count[node] += 1
        return pool, [frozenset({node}) for node in nodes for _ in range(count[node])]
    if len(nodes) % ranks == 0:
        return pool, [frozenset(piece) for piece in split(nodes, ranks)]
    return {0: [core for node in nodes for core in pool[node]]}, [frozenset({0})] * ranks


def _take(
    pool: dict[int, Cores], homes: Sequence[frozenset[int]], shares: Sequence[int], topology: Topology
) -> list[Cores]:
    """For each rank up to its share: of its homes as much as others there, then of the nearest node with some left."""
    owned: list[Cores] = [[] for _ in homes]
    left: dict[int, Cores] = {}
    for node, cores in pool.items():
        here = [rank for rank, home in enumerate(homes) if node in home]
        left[node] = [] if here else cores
        for rank, piece in zip(here, split(cores, len(here)), strict=True):
            room = shares[rank] - len(owned[rank])
            owned[rank] += piece[:room]
            left[node] += piece[room:]
    for rank, home in enumerate(homes):
        for node in sorted(left, key=lambda node: min((topology.distance(one, node) for one in home), default=0)):
            room = shares[rank] - len(owned[rank])
            owned[rank] += left[node][:room]
            left[node] = left[node][room:]
    return owned


def split(things: Sequence[T], count: int) -> list[list[T]]:
    """Contiguous pieces as equal as can be, longer ones first."""
    if not count:
        return []
    each, longer = divmod(len(things), count)
    ends = [part * each + min(part, longer) for part in range(count + 1)]
    return [list(things[start:end]) for start, end in pairwise(ends)]


def too_few_cpus_message(ranks: int, cpus: int, cpus_per_process: int) -> str:
    if cpus < cpus_per_process:
        return (
            f"cpus_per_process is {cpus_per_process}, but an executor may run on {cpus} CPUs only. Ask the scheduler "
            f"for more (--cpus-per-task={cpus_per_process}), or set `cpus_per_process: {cpus}`."
        )
    advice = f"Start at most {cpus // cpus_per_process} a node (-n, process_count_per_node)"
    if ranks <= cpus:
        advice += f", or set `cpus_per_process: {cpus // ranks}`"
    return (
        f"{ranks} executors of {cpus_per_process} CPUs each (cpus_per_process) on this node, which has {cpus} CPUs for "
        f"them. {advice}."
    )


def _flat(cores: Cores) -> tuple[int, ...]:
    return tuple(cpu for core in cores for cpu in core)
