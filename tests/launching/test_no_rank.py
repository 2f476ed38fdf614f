"""Where mpirun starts no rank, that is what is said, and not that a rank was lost."""

import pytest

from tests.conftest import Job

pytestmark = pytest.mark.processes


def test_no_rank_came_up_is_told_apart_from_a_lost_rank(job: Job) -> None:
    """It was called a lost rank, and what had been done was said to be kept."""
    job.write("def run(mini_batch): return names(mini_batch)", 2)
    done = job.run(ranks=2, variables={"PRTE_MCA_prte_if_include": "lo", "PMIX_MCA_ptl": "none"})
    assert done.status not in (0, 2), done.said()
    assert "no rank came up" in done.said()
    assert "PRTE_MCA_prte_if_include" in done.said()
    assert "a rank was killed or lost" not in done.said()
    assert "no rank came up" in (done.run_dir / "logs" / "sys" / "launcher.txt").read_text()


def test_a_run_without_home_and_with_a_job_that_is_over(job: Job) -> None:
    """Both kept mpirun from starting; GPUs that are not there kept the ranks from a place."""
    job.write("def run(mini_batch): return names(mini_batch)", 2)
    stale = {"SLURM_JOB_ID": "999", "SLURM_JOB_NODELIST": "gone17", "SLURM_NODELIST": "gone17", "SLURM_NNODES": "1"}
    done = job.run(ranks=2, variables={**stale, "HOME": "", "SLURM_TASKS_PER_NODE": "4", "CUDA_VISIBLE_DEVICES": "0"})
    assert done.status == 0, done.said()
    assert "SLURM_JOB_ID" in done.said()
