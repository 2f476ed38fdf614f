"""Where in the node the visible GPUs sit: the PCI address and NUMA node of each, without touching a device.

NVIDIA  /proc/driver/nvidia/gpus/<address>/information    uuid and number of the device file --+
        nvidia-smi -L                                     to which GPU a MIG device belongs  --+--> GpuLocation
AMD     /sys/class/kfd/kfd/topology/nodes/*/properties    address, and unique id             --+

What cannot be found is an empty address, and no reason not to use a GPU: it is then grouped in the order of the names.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mpibatch.cluster.environment import ROCR
from mpibatch.placement.gpus import Devices, list_with_nvidia_smi, parse_ids
from mpibatch.placement.topology import NOWHERE, pci_node


@dataclass(frozen=True, slots=True)
class GpuLocation:
    """address: on the PCI bus, such as 0000:07:00.0; "" where unknown. node: NUMA node; NOWHERE where unknown."""

    address: str = ""
    node: int = NOWHERE


def locate(
    devices: Devices,
    env: Mapping[str, str],
    root: Path = Path("/"),
    nvidia_smi: Callable[[], str] = list_with_nvidia_smi,
) -> tuple[GpuLocation, ...]:
    """The location of each of `devices.identifiers`, in their order; `env` is what they were found with."""
    if not devices.identifiers:
        return ()
    by_name = _nvidia(root, devices.device_files)
    if by_name:
        if any(name.startswith("MIG-") for name in devices.identifiers):
            parents = _mig_parents(nvidia_smi())
            by_name |= {name: by_name.get(parent, "") for name, parent in parents.items()}
    else:
        by_name = _amd(root, devices.device_files)
        if devices.variable != ROCR and ROCR in env:  # the indices count what this one leaves over
            left = parse_ids(env[ROCR])
            by_name = {str(index): by_name.get(name, "") for index, name in enumerate(left)}
    addresses = [by_name.get(_whole_gpu(name), "") or by_name.get(name, "") for name in devices.identifiers]
    return tuple(GpuLocation(address, pci_node(address, root) if address else NOWHERE) for address in addresses)


def _nvidia(root: Path, device_files: tuple[str, ...]) -> dict[str, str]:
    """Addresses by index and by uuid. Indices count, in the order of the bus, the GPUs that may be opened."""
    found: dict[str, str] = {}
    index = 0
    for folder in sorted((root / "proc/driver/nvidia/gpus").glob("*")):
        address = folder.name.lower()
        told = _properties(folder / "information", ":")
        if (uuid := told.get("GPU UUID", "")).startswith("GPU-"):
            found[uuid] = address
        minor = told.get("Device Minor", "")
        if not device_files or folder.name in device_files or f"nvidia{minor}" in device_files:
            found[str(index)] = address
            index += 1
    return found


def _amd(root: Path, nodes: tuple[str, ...]) -> dict[str, str]:
    """Addresses by index and by unique id, of nodes of the KFD topology."""
    found = {}
    for index, node in enumerate(nodes):
        told = _properties(root / "sys/class/kfd/kfd/topology/nodes" / node / "properties", None)
        if not told.get("location_id", "").isdecimal():
            continue
        place = int(told["location_id"])  # bus, device and function, as PCI packs them
        domain = told.get("domain", "0")
        address = f"{int(domain) if domain.isdecimal() else 0:04x}:{place >> 8:02x}:{place >> 3 & 31:02x}.{place & 7}"
        found[str(index)] = address
        if told.get("unique_id", "").isdecimal():
            found[f"GPU-{int(told['unique_id']):x}"] = address
    return found


def _mig_parents(text: str) -> dict[str, str]:
    """The uuid of the GPU of each MIG device in `nvidia-smi -L`."""
    found, parent = {}, ""
    for kind, uuid in re.findall(r"^\s*(GPU|MIG) .*\(UUID: ([^)\s]+)\)", text, re.MULTILINE):
        if kind == "GPU":
            parent = uuid
        else:
            found[uuid] = parent
    return found


def _whole_gpu(name: str) -> str:
    """The GPU of a MIG device of the old form, MIG-GPU-<uuid>/<instance>/<instance>; any other name as it is."""
    return name.partition("/")[0].removeprefix("MIG-") if name.startswith("MIG-GPU-") else name


def _properties(path: Path, separator: str | None) -> dict[str, str]:
    """Lines of a name and a value."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError):
        return {}
    pairs = [line.split(separator, 1) for line in lines]
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
