"""Whether the launcher of this process and its MPI library belong together: told before MPI_Init, which may end it.

    library version, Launcher, environment --misfit--> what is wrong and the mend, None where nothing is

The library's first word names its family. What a launcher offers shows in the variables that it sets.
"""

from collections.abc import Mapping

from mpibatch.cluster.environment import Launcher, LauncherName

SRUN_TYPE = {"Open MPI": "pmix", "MPICH": "pmi2", "Intel(R) MPI": "pmi2"}
"""The `srun --mpi` that each family wants; the keys are how a library's version text begins."""

PMIX = "PMIX_NAMESPACE"
PMI = ("PMI_FD", "PMI_RANK", "PMI_PORT")


def mismatch(library: str, launcher: Launcher, env: Mapping[str, str]) -> str | None:
    """Why ranks of this launcher could not find each other with this library (the whole text of its version).

    An MPICH that was built with PMIx says so in its configure line; the wheel was not, and ends the process.
    """
    family = next((family for family in SRUN_TYPE if library.startswith(family)), None)
    if launcher.name is LauncherName.OPEN_MPI and family in ("MPICH", "Intel(R) MPI") and "pmix" not in library.lower():
        return singleton_mismatch(library, launcher)
    if launcher.name is not LauncherName.SLURM or family is None:
        return None
    has_pmix, has_pmi = PMIX in env, any(name in env for name in PMI)
    if not has_pmix and not has_pmi:
        return None  # what srun has set up is not known here; MPI_Init will show it
    fits = has_pmix if family == "Open MPI" else has_pmi or "pmix" in library.lower()
    if fits:
        return None
    return mismatch_message(launcher, library, f"`srun --mpi={SRUN_TYPE[family]}`")


def singleton_mismatch(library: str, launcher: Launcher) -> str:
    """What to say when `launcher` started several processes and MPI sees each of them alone."""
    family = next((family for family in SRUN_TYPE if library.startswith(family)), "")
    by_srun = launcher.name is LauncherName.SLURM and family
    fix = f"`srun --mpi={SRUN_TYPE[family]}`" if by_srun else "the mpirun that belongs to this MPI"
    return mismatch_message(launcher, library, fix)


def mismatch_message(launcher: Launcher, library: str, fix: str) -> str:
    version = " ".join(library.splitlines()[0].split(",", maxsplit=1)[0].split())
    size = "several" if launcher.size is None else launcher.size
    other = (
        ", or `mpibatch run` without srun, which starts mpirun itself" if launcher.name is LauncherName.SLURM else ""
    )
    return (
        f"{launcher.name.value} started {size} processes, but MPI ({version}) cannot join them into one run: launcher "
        f"and library do not belong together. Use {fix}{other}. `mpibatch doctor` says more."
    )
