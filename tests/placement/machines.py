"""The sysfs and procfs trees of real machines, as far as placement reads them, written from public documentation.

DGX A100       NVIDIA's user guide and `nvidia-smi topo -m`: 2 x 64 cores, 4 NUMA nodes a socket, GPUs on nodes 3 1 7 5
two sockets    Intel Xeon Gold 6148 with Hyper-Threading: CPUs alternate between the sockets, siblings 40 apart
MIG            an A100 cut in two beside one that is whole, one socket of 8 cores
LUMI-G         LUMI's documentation: 64 cores, 4 NUMA nodes, 4 MI250X, of which each is two GPUs
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpibatch.placement.gpu_assignment import NodeResources
from mpibatch.placement.gpu_locations import locate
from mpibatch.placement.gpus import visible_devices
from mpibatch.placement.topology import read_topology


@dataclass(frozen=True)
class Machine:
    """A tree below `root`; nvidia_smi is what `nvidia-smi -L` prints there."""

    root: Path
    cpus: tuple[int, ...]
    nvidia_smi: str = ""

    def resources(self, env: Mapping[str, str] | None = None, cpus: Sequence[int] | None = None) -> NodeResources:
        """What a rank there sees that has this environment and may run on these CPUs, else on all."""
        env = env or {}
        allowed = self.cpus if cpus is None else tuple(sorted(cpus))
        devices = visible_devices(env, self.root, lambda: self.nvidia_smi)
        locations = locate(devices, env, self.root, lambda: self.nvidia_smi)
        return NodeResources(devices, allowed, locations, read_topology(allowed, self.root))


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def add_cpus(root: Path, nodes: Sequence[str], siblings: int, distances: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """nodes: the cpulist of each; siblings: how far apart the two hyperthreads of a core are, 0 where it has one."""
    cpus: list[int] = []
    for node, cpulist in enumerate(nodes):
        write(root, f"sys/devices/system/node/node{node}/cpulist", cpulist + "\n")
        write(root, f"sys/devices/system/node/node{node}/distance", " ".join(map(str, distances[node])) + "\n")
        for span in cpulist.split(","):
            first, _, last = span.partition("-")
            cpus += range(int(first), int(last or first) + 1)
    for cpu in cpus:
        core = cpu % siblings if siblings else cpu
        listed = f"{core},{core + siblings}" if siblings else str(core)
        write(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", listed + "\n")
    return tuple(sorted(cpus))


def add_nvidia(root: Path, gpus: Sequence[tuple[str, int]]) -> None:
    """gpus: PCI address and NUMA node of each, in the order of their device files."""
    for minor, (address, node) in enumerate(gpus):
        write(root, f"dev/nvidia{minor}", "")
        write(root, f"sys/bus/pci/devices/{address}/numa_node", f"{node}\n")
        write(
            root,
            f"proc/driver/nvidia/gpus/{address}/information",
            f"Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 30{minor}\nGPU UUID: \t GPU-{minor:08}-cafe\n"
            f"Bus Type: \t PCIe\nBus Location: \t {address}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n",
        )


def dgx_a100(root: Path) -> Machine:
    nodes = [f"{16 * node}-{16 * node + 15},{16 * node + 128}-{16 * node + 143}" for node in range(8)]
    distances = [[10 if a == b else 12 if a // 4 == b // 4 else 32 for b in range(8)] for a in range(8)]
    cpus = add_cpus(root, nodes, 128, distances)
    buses = [("07", 3), ("0f", 3), ("47", 1), ("4e", 1), ("87", 7), ("90", 7), ("b7", 5), ("bd", 5)]
    add_nvidia(root, [(f"0000:{bus}:00.0", node) for bus, node in buses])
    return Machine(root, cpus)


def two_sockets(root: Path) -> Machine:
    nodes = [",".join(map(str, range(first, 80, 2))) for first in (0, 1)]
    return Machine(root, add_cpus(root, nodes, 40, [[10, 21], [21, 10]]))


def mig(root: Path) -> Machine:
    cpus = add_cpus(root, ["0-7"], 0, [[10]])
    add_nvidia(root, [("0000:07:00.0", 0), ("0000:0f:00.0", 0)])
    write(root, "proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci0/access", "")
    listed = (
        "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-cafe)\n"
        "  MIG 3g.20gb     Device  0: (UUID: MIG-e91edf3b)\n"
        "  MIG 3g.20gb     Device  1: (UUID: MIG-f0a1b2c3)\n"
        "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-00000001-cafe)\n"
    )
    return Machine(root, cpus, listed)


def lumi_g(root: Path) -> Machine:
    nodes = [f"{16 * node}-{16 * node + 15},{16 * node + 64}-{16 * node + 79}" for node in range(4)]
    cpus = add_cpus(root, nodes, 64, [[10 if a == b else 12 for b in range(4)] for a in range(4)])
    kfd = "sys/class/kfd/kfd/topology/nodes"
    for node in range(4):
        write(root, f"{kfd}/{node}/properties", "cpu_cores_count 32\nsimd_count 0\n")
    buses = [(0xC1, 3), (0xC6, 3), (0xC9, 1), (0xCE, 1), (0xD1, 0), (0xD6, 0), (0xD9, 2), (0xDE, 2)]
    for gpu, (bus, node) in enumerate(buses):
        told = f"cpu_cores_count 0\nsimd_count 440\nlocation_id {bus << 8}\ndomain 0\nunique_id {0xABC0 + gpu}\n"
        write(root, f"{kfd}/{gpu + 4}/properties", told)
        write(root, f"sys/bus/pci/devices/0000:{bus:02x}:00.0/numa_node", f"{node}\n")
    return Machine(root, cpus)
