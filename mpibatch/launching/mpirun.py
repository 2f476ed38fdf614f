"""The command that starts ranks.

MpiInstallation, HostLayout, flags of the network --mpirun_command, rank_command--> argv
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mpibatch.launching.hosts import HostLayout
from mpibatch.launching.mpi_installation import Family, MpiInstallation
from mpibatch.runs.resume import ResumeOptions


def rank_command(directory: Path, options: ResumeOptions) -> list[str]:
    """The argv of one rank of the run in `directory`."""
    rank = [sys.executable, "-P", "-m", "mpibatch.mpi", os.fspath(directory)]
    return rank + ["--retry-failed"] * options.retry_failed + ["--accept-changed-inputs"] * options.accept_changed


def scratch_flags(mpi: MpiInstallation, scratch: str) -> list[str]:
    """Flags that have mpirun keep its own files in `scratch`, an empty folder.

    Open MPI 5 would name one by its process number, and refuse to start ("The PMIx server's listener thread failed to
    start") where a killed mpirun of that number left its own.
    """
    return ["--prtemca", "prte_local_tmpdir_base", scratch] if mpi.has_ulfm else []


def mpirun_command(
    mpi: MpiInstallation, ranks: int, layout: HostLayout | None = None, network: Sequence[str] = ()
) -> list[str]:
    """The argv that starts `ranks` of whatever follows it, on this host or on those of an allocation.

    network: words of `network_flags`
    """
    if mpi.family is not Family.OPEN_MPI:
        flags = [*network] if layout is None else [*network, "-ppn", str(layout.per_node)]
        if layout is not None and layout.hosts:
            flags += ["-hosts", ",".join(layout.hosts)]
        return [mpi.mpirun, *flags, "-n", str(ranks)]
    # cores are bound by mpibatch itself, and a rank on a busy core costs little
    where = "" if layout is None else f"ppr:{layout.per_node}:node"
    flags = ["--bind-to", "none", "--map-by", f"{where}:OVERSUBSCRIBE", *network]
    if mpi.has_ulfm:
        flags += ["--with-ft", "ulfm"]
    if os.geteuid() == 0:
        flags.append("--allow-run-as-root")
    if layout is not None and layout.hosts:
        flags += ["--host", ",".join(f"{host}:{layout.per_node}" for host in layout.hosts)]
    return [mpi.mpirun, *flags, "-n", str(ranks)]
