"""What mpirun gets of the user's environment."""

import subprocess

from mpibatch.launching.mpirun_environment import mpirun_environment

JOB = {"HOME": "/home/me", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "OMPI_MCA_btl": "tcp"}


def changed(env: dict[str, str], status: int = 0) -> tuple[dict[str, str], list[str]]:
    said: list[str] = []
    return mpirun_environment(
        env, said.append, lambda command: subprocess.CompletedProcess(command, status, "", "")
    ), said


def test_home_comes_from_the_user_database() -> None:
    """mpirun ended with 1 before a rank was there."""
    assert changed({})[0]["HOME"].startswith("/")
    assert changed({"HOME": "/elsewhere"}) == ({"HOME": "/elsewhere"}, [])


def test_an_allocation_that_is_over_is_said_and_ignored() -> None:
    """mpirun tried to start its daemons on nodes of a job that was gone."""
    env, said = changed(JOB, status=1)
    assert env == {"HOME": "/home/me", "OMPI_MCA_btl": "tcp"}
    assert "SLURM_JOB_ID" in said[0]


def test_what_would_break_the_step_of_the_daemons_is_left_out() -> None:
    outer = {
        "SLURM_EXPORT_ENV": "NONE",
        "SLURM_MPI_TYPE": "pmix",
        "SLURM_CPU_BIND": "quiet,mask_cpu:0x1",
        "SLURM_CPU_BIND_TYPE": "mask_cpu:",
        "SLURM_GPUS": "4",
        "SLURM_GPUS_PER_TASK": "1",
        "SLURM_GPUS_ON_NODE": "2",
        "SLURM_MEM_PER_NODE": "500",
        "SLURM_MEM_PER_CPU": "100",
    }
    expected = {
        "SLURM_MPI_TYPE": "none",
        "SLURM_GPUS_ON_NODE": "2",
        "SLURM_GPUS_PER_NODE": "2",
        "SLURM_MEM_PER_NODE": "500",
    }
    assert changed(JOB | outer) == (JOB | expected, [])
