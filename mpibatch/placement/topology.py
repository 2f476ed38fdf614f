"""How the cores of a node lie to each other and to its GPUs, as sysfs has it.

/sys/devices/system/cpu/cpu*/topology    which CPUs are hyperthreads of one core   --+
/sys/devices/system/node/node*           the CPUs of each NUMA node, and distances --+--> Topology
/sys/bus/pci/devices/<address>           the NUMA node of a GPU                    --+

A CPU is what the operating system calls one and Slurm counts in --cpus-per-task: a hyperthread, where a core has
several. What sysfs does not tell, as in some containers, is left out: then each CPU is a core, and all are one node.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NOWHERE = -1
"""The NUMA node of what sysfs assigns to none."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Of the CPUs that one rank may use.

    core_of:   by CPU, the lowest of the CPUs that share its core
    node_of:   by CPU, its NUMA node
    distances: by NUMA node, how far it is to each other one
    """

    core_of: dict[int, int] = field(default_factory=dict)
    node_of: dict[int, int] = field(default_factory=dict)
    distances: dict[int, dict[int, int]] = field(default_factory=dict)

    def cores(self, cpus: Iterable[int]) -> list[tuple[int, ...]]:
        """The CPUs by core, neighbours beside each other: in the order of NUMA nodes, and of their first CPUs."""
        found: dict[int, list[int]] = {}
        for cpu in sorted(cpus):
            found.setdefault(self.core_of.get(cpu, cpu), []).append(cpu)
        return sorted(map(tuple, found.values()), key=lambda core: (self.node(core[0]), core))

    def node(self, cpu: int) -> int:
        return self.node_of.get(cpu, 0)

    def distance(self, node: int, other: int) -> int:
        """As firmware tells it: 10 to itself, more to others; by their numbers where it does not."""
        return self.distances.get(node, {}).get(other, 10 + abs(node - other))


def read_topology(cpus: Sequence[int], root: Path = Path("/")) -> Topology:
    """The topology of these CPUs."""
    system = root / "sys/devices/system"
    core_of = {}
    for cpu in cpus:
        siblings = parse_list(_read(system / f"cpu/cpu{cpu}/topology/thread_siblings_list"))
        core_of[cpu] = min(siblings, default=cpu)
    nodes = {int(path.name[4:]): path for path in (system / "node").glob("node[0-9]*")}
    wanted = set(cpus)
    node_of = {
        cpu: node for node, path in sorted(nodes.items()) for cpu in parse_list(_read(path / "cpulist")) & wanted
    }
    distances = {}
    for node, path in nodes.items():
        told = [int(word) for word in _read(path / "distance").split() if word.isdecimal()]
        if len(told) == len(nodes):
            distances[node] = dict(zip(sorted(nodes), told, strict=True))
    return Topology(core_of, node_of, distances)


def pci_node(address: str, root: Path = Path("/")) -> int:
    """The NUMA node of a PCI device, such as 0000:07:00.0; NOWHERE where the firmware does not tell."""
    text = _read(root / "sys/bus/pci/devices" / address / "numa_node").strip()
    return int(text) if text.isdecimal() else NOWHERE


def parse_list(text: str) -> set[int]:
    """The kernel's lists of CPUs: `0-3,8` is 0, 1, 2, 3, 8. What is none is empty."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), int(last or first) + 1))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
