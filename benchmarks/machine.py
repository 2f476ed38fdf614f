"""What the figures were measured on: the machine, how busy it was, and versions."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from mpibatch.launching.mpi_installation import library_version

PACKAGES = ("mpi4py", "numpy", "pandas", "pyarrow", "pillow", "distributed", "ray")
ROOT = Path(__file__).parents[1]


def description() -> list[str]:
    """In lines."""
    cores, gigabytes = len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return [
        f"Machine: {_processor()}, {cores} cores, {gigabytes:.0f} GB of memory; Linux {platform.release()}.",
        f"mpibatch: {_commit()}.",
        f"Python {sys.version.split()[0]}; {_mpi()}; {', '.join(_versions())}.",
    ]


def load() -> str:
    """How many processes want a core now, for a figure taken beside others is no figure."""
    return f"{os.getloadavg()[0]:.1f}"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    found = importlib.metadata.version("mpibatch")
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        return f"{found}, commit {words}"
    return found


def _mpi() -> str:
    return library_version(os.environ).splitlines()[0].strip(" \0") or "MPI unknown"  # Open MPI's ends with a NUL


def _versions() -> list[str]:
    found = []
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return found
