"""Launcher and MPI library: what can work is let through, what cannot is refused with the mend."""

import pytest

from mpibatch.cluster.compatibility import mismatch, singleton_mismatch
from mpibatch.cluster.environment import detect_launcher

STEP = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "6"}
PMIX = STEP | {"PMIX_NAMESPACE": "slurm.pmix.1.0", "PMIX_RANK": "0"}
PMI2 = STEP | {"PMI_FD": "11", "PMI_RANK": "0", "PMI_SIZE": "6"}

OPEN_MPI = "Open MPI v5.0.11, package: Open MPI conda@1 Distribution, ident: 5.0.11"
WHEEL = "MPICH Version:      5.0.2\nMPICH configure:    --with-device=ch4:ucx,ofi --with-pm=hydra"
BUILT_WITH_PMIX = "MPICH Version:      4.3\nMPICH configure:    --with-pmi=pmix --with-pmix=/usr"


@pytest.mark.parametrize(
    ("library", "env", "fix"),
    [
        (OPEN_MPI, PMIX, None),
        (OPEN_MPI, PMI2, "srun --mpi=pmix"),
        (WHEEL, PMI2, None),
        (WHEEL, PMIX, "srun --mpi=pmi2"),
        (BUILT_WITH_PMIX, PMIX, None),
        ("Another MPI 1.0", PMIX, None),  # unknown: MPI_Init will show it
        (WHEEL, STEP, None),  # likewise: srun --mpi=none, or a way that is not in the table
        (OPEN_MPI, PMI2 | {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, None),  # mpirun within the step
    ],
)
def test_what_fits(library: str, env: dict[str, str], fix: str | None) -> None:
    launcher = detect_launcher(env)
    assert launcher is not None
    message = mismatch(library, launcher, env)
    assert (message is None) == (fix is None)
    assert fix is None or (message is not None and fix in message and "started 6 processes" in message)


def test_mpich_under_the_mpirun_of_open_mpi_is_refused() -> None:
    """Told before MPI_Init, which would end the process in words that help nobody. One built with PMIx may fit."""
    launcher = detect_launcher({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "3"})
    assert launcher is not None
    message = mismatch(WHEEL, launcher, {})
    assert message is not None
    assert "Open MPI started 3 processes" in message
    assert "Use the mpirun that belongs to this MPI." in message
    assert mismatch(BUILT_WITH_PMIX, launcher, {}) is None
    assert mismatch(OPEN_MPI, launcher, {}) is None


def test_singletons_are_told_which_launcher_fits() -> None:
    by_srun, by_mpirun = (
        detect_launcher(STEP),
        detect_launcher({"MPI_LOCALRANKID": "0", "PMI_RANK": "0", "PMI_SIZE": "2"}),
    )
    assert by_srun is not None
    assert by_mpirun is not None
    assert "MPI (MPICH Version: 5.0.2)" in singleton_mismatch(WHEEL, by_srun)
    assert "`srun --mpi=pmi2`, or `mpibatch run` without srun" in singleton_mismatch(WHEEL, by_srun)
    assert "Use the mpirun that belongs to this MPI." in singleton_mismatch(OPEN_MPI, by_mpirun)
