"""What sbatch makes of a submission's options and script, with a stand-in for python that notes its words."""

import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mpibatch.cluster.slurm import allocation_end
from mpibatch.launching.batch_script import Submission, render
from mpibatch.launching.slurm_job import submit
from tests.cluster.slurm import Cluster, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.ci]

PROGRAM = """#!/bin/bash
printf '%s\\n' "$@" >"$7/words"
"""
HOSTILE = "50%j $(touch pwned) `touch pwned` a'b\"c ; touch pwned #"

Make = Callable[..., Submission]


@pytest.fixture
def make(shared: Path) -> Make:
    def made(run_dir: Path = shared / "run", **changes: object) -> Submission:
        program = shared / "program"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        plain = Submission(
            job_file=str(shared / "job.yaml"),
            run_dir=str(run_dir),
            name="predict-digits",
            python=str(program),
        )
        return replace(plain, **changes)  # type: ignore[arg-type]

    return made


def log(submission: Submission, job: int) -> str:
    return (submission.logs / f"slurm-{job}.txt").read_text()


def test_options_arrive(cluster: Cluster, make: Make) -> None:
    asked = make(nodes=3, processes_per_node=2, time="5", partition="batch", memory="100", gpus="2")
    job = submit(asked, cluster.call)
    assert cluster.wait_job(job) == "COMPLETED"
    expected = {
        "JobName": "predict-digits",
        "NumNodes": "3",
        "NumTasks": "6",
        "TimeLimit": "00:05:00",
        "MinMemoryNode": "100M",
        "TresPerNode": "gres:gpu:2",
        "Requeue": "1",
    }
    assert {field: cluster.job_field(job, field) for field in expected} == expected


@pytest.mark.parametrize("way", ["submit", "by hand"])
def test_no_word_runs_as_a_command(cluster: Cluster, make: Make, shared: Path, way: str) -> None:
    asked = make(
        job_file=f"/{HOSTILE}/job.yaml",
        run_dir=shared / HOSTILE,
        sets=(f"key={HOSTILE}",),
        extra=(f"--comment={shlex.quote(HOSTILE)}", shlex.quote(f"--chdir={shared}")),
    )
    if way == "submit":
        job = submit(asked, cluster.call)
    else:
        asked.logs.mkdir(parents=True)
        script = shared / "by-hand.sbatch"
        script.write_text(render(asked))
        job = cluster.sbatch(str(script), cwd=shared)
    assert cluster.wait_job(job) == "COMPLETED", log(asked, job)
    words = (Path(asked.run_dir) / "words").read_text().splitlines()
    assert words[4:] == [asked.job_file, "--run-dir", asked.run_dir, "-n", "1", "--set", f"key={HOSTILE}"]
    assert log(asked, job) == ""
    shown = cluster.run(["scontrol", "show", "job", str(job)]).stdout
    assert f"Comment={HOSTILE}\n" in shown.replace(" \n", "\n")
    assert list(shared.rglob("pwned")) == []
    assert cluster.srun("-N3", "sh", "-c", "ls -d pwned ~/pwned /tmp/pwned", check=False).stdout == ""


def test_a_variable_of_the_users_shell_does_not_win(cluster: Cluster, make: Make) -> None:
    """sbatch would let SBATCH_* go before #SBATCH lines."""
    cluster_env = {"SBATCH_JOB_NAME": "other", "SBATCH_OPEN_MODE": "truncate", "SBATCH_NO_REQUEUE": "1"}
    job = submit(make(), lambda command: cluster.run(command, env=cluster_env, check=False))
    assert cluster.job_field(job, "JobName") == "predict-digits"
    assert cluster.job_field(job, "Requeue") == "1"


def test_the_end_of_an_allocation(cluster: Cluster) -> None:
    """What a run asks so as to stop in time."""
    job = cluster.sbatch("--time=2", "--wrap=sleep 60")
    wait_until("the job to run", lambda: cluster.job_state(job) == "RUNNING")
    end = allocation_end({"SLURM_JOB_ID": str(job)}, cluster.call)
    assert end is not None
    assert 100 < end - time.time() <= 120
