"""Which GPUs this process may use, found without importing a framework or touching a device.

    CUDA_VISIBLE_DEVICES and its like, where set  --+
    /dev, /proc and /sys, where they are not      --+--> Devices: the variable to narrow, and its choices
    nvidia-smi, for MIG and where nothing else tells

Asking CUDA itself would create a context on every GPU. The file system's root and the call of nvidia-smi
are handed in, so that tests need no GPU. Intel's GPUs are seen only through ZE_AFFINITY_MASK: /dev/dri does
not tell a data centre's from a laptop's.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mpibatch.cluster.environment import CUDA, VISIBILITY, Vendor, gpus_bound_to_task
from mpibatch.liveness.timers import NVIDIA_SMI_SECONDS


@dataclass(frozen=True, slots=True)
class Devices:
    """The GPUs that one rank may use.

    variable:    the variable that selects among them
    identifiers: as that variable takes them: indices, GPU-..., MIG-...
    device_files:       device files behind them, where those tell; under cgroups two ranks' GPUs 0 can differ
                 in these only
    task_bound:       the scheduler gave them to this rank, so equal identifiers of other ranks may be
                 other devices
    """

    variable: str = CUDA
    identifiers: tuple[str, ...] = ()
    device_files: tuple[str, ...] = ()
    task_bound: bool = False


@cache  # a second or so, and asked for more than once
def list_with_nvidia_smi() -> str:
    """The output of `nvidia-smi -L`, "" where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def visible_devices(
    env: Mapping[str, str],
    root: Path = Path("/"),
    nvidia_smi: Callable[[], str] = list_with_nvidia_smi,
) -> Devices:
    """The GPUs that a process with this environment may use.

    `env` is the rank's own, with the job's environment_variables laid over it: what a user sets there counts.
    """
    task_bound = gpus_bound_to_task(env)
    device_files = {Vendor.NVIDIA: nvidia_device_files(root), Vendor.AMD: amd_nodes(root), Vendor.INTEL: ()}
    # Slurm without AutoDetect sets every vendor's variable: the hardware decides which of them is meant.
    present = [vendor for vendor in Vendor if device_files[vendor]]
    for vendor in present or Vendor:
        for variable in VISIBILITY[vendor]:
            if variable in env and (present or parse_ids(env[variable])):
                return Devices(variable, parse_ids(env[variable]), device_files[vendor], task_bound)
    if any(variable in env for variable in VISIBILITY[Vendor.NVIDIA]):
        return Devices()  # set so that nothing is visible: no reason to ask further
    if present and present[0] is Vendor.AMD:
        return Devices(
            VISIBILITY[Vendor.AMD][-1], indices(len(device_files[Vendor.AMD])), device_files[Vendor.AMD], task_bound
        )
    if present and not mig_enabled(root):
        return Devices(CUDA, indices(len(device_files[Vendor.NVIDIA])), device_files[Vendor.NVIDIA], task_bound)
    found = parse_nvidia_smi(nvidia_smi()) or indices(len(device_files[Vendor.NVIDIA]))
    return Devices(CUDA, found, device_files[Vendor.NVIDIA], task_bound)


def absent_devices(env: Mapping[str, str], root: Path = Path("/")) -> tuple[str, ...]:
    """Variables that name GPUs where there is no sign of one: set in a profile, or taken along from another machine.

    What Slurm has allocated is believed without a look.
    """
    signs = (*nvidia_device_files(root), *amd_nodes(root), *(root / "dev").glob("dxg"))
    if signs or shutil.which("nvidia-smi") or any(re.match("SLURM_.*GPU", name) for name in env):
        return ()
    return tuple(name for name in VISIBILITY[Vendor.AMD] if parse_ids(env.get(name, "")))


def parse_ids(value: str) -> tuple[str, ...]:
    """The identifiers in a visibility variable; like CUDA, stops at the first that is none ("-1", "none")."""
    identifiers: list[str] = []
    for identifier in (part.strip() for part in value.split(",")):
        if not re.match(r"\d|GPU-|MIG-", identifier):
            break
        if identifier not in identifiers:
            identifiers.append(identifier)
    return tuple(identifiers)


def indices(count: int) -> tuple[str, ...]:
    return tuple(str(index) for index in range(count))


def nvidia_device_files(root: Path) -> tuple[str, ...]:
    """NVIDIA's GPUs: their device files, else their entries in /proc.

    A container or a cgroup that withholds a GPU withholds its device file, but /proc may still list it.
    Before the first use after booting there may be no device files yet.
    """
    files = [path for path in (root / "dev").glob("nvidia[0-9]*") if path.name[6:].isdecimal()]
    if files:
        return tuple(sorted(path.name for path in files if os.access(path, os.R_OK | os.W_OK)))
    return tuple(sorted(path.name for path in (root / "proc/driver/nvidia/gpus").glob("*")))


def mig_enabled(root: Path) -> bool:
    """Whether a GPU is cut into MIG devices; CUDA then shows only one unless they are asked for by name."""
    return any((root / "proc/driver/nvidia/capabilities").glob("gpu*/mig/gi*/ci*"))


def parse_nvidia_smi(text: str) -> tuple[str, ...]:
    """The devices of `nvidia-smi -L`: MIG devices by name, and GPUs that are not cut into such.

    GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5c89852c-...)
      MIG 3g.20gb     Device  0: (UUID: MIG-e91edf3b-...)
    """
    found: list[str] = []
    for line in text.splitlines():
        match = re.match(r"\s*(GPU|MIG) .*\(UUID: ([^)\s]+)\)", line)
        if match is None:
            continue
        if match[1] == "MIG" and found and found[-1].startswith("GPU-"):
            found.pop()  # this GPU is cut into MIG devices
        found.append(match[2])
    # Indices read better, and mean the same while there are only whole GPUs.
    return tuple(found) if any(name.startswith("MIG-") for name in found) else indices(len(found))


def amd_nodes(root: Path) -> tuple[str, ...]:
    """AMD's GPUs, as nodes of the KFD topology that have vector units; CPUs are nodes too and have none."""
    found = []
    for properties in (root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties"):
        try:
            text = properties.read_text()
        except OSError:
            continue  # withheld by a container or a cgroup
        if re.search(r"^simd_count [1-9]", text, re.MULTILINE):
            found.append(properties.parent.name)
    return tuple(sorted(found, key=lambda name: name.zfill(8)))
