"""`submit` and `follow` on a real Slurm, with a stand-in for the program: what sbatch makes of the script.

The stand-in takes the place of python: it notes its words and signals in its run directory, and ends as told.
"""

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mpibatch.errors import ExitStatus, UsageError
from mpibatch.launching.batch_script import Submission, render
from mpibatch.launching.slurm import concern, follow, submit
from tests.cluster.slurm import Cluster, wait_until

PROGRAM = """#!/bin/bash
run=${{7}}
note() {{ echo "$1" >>"$run/seen"; }}
trap 'note drained; exit 75' USR1 TERM
note "start ${{SLURM_RESTART_COUNT:-0}} on $(hostname)"
printf '%s\\n' "$@" >"$run/words"
{then}
"""
LINGER = "while :; do sleep 0.1; done"
STOP_ONCE = """\
[ -n "$SLURM_RESTART_COUNT" ] || exit 75
echo '{{"status": "completed"}}' >"$run/summary.json"
"""
HOSTILE = "50%j $(touch pwned) `touch pwned` a'b\"c ; touch pwned #"

Make = Callable[..., Submission]


@pytest.fixture
def make(shared: Path) -> Make:
    """A submission whose program does as told."""

    def made(then: str = "true", run_dir: Path = shared / "run", **changes: object) -> Submission:
        program = shared / "program"
        program.write_text(PROGRAM.format(then=then.format()))
        program.chmod(0o755)
        plain = Submission(
            job_file=str(shared / "job.yaml"),
            run_dir=str(run_dir),
            name="predict-digits",
            python=str(program),
        )
        return replace(plain, **changes)  # type: ignore[arg-type]

    return made


def seen(submission: Submission) -> list[str]:
    path = Path(submission.run_dir) / "seen"
    return path.read_text().splitlines() if path.exists() else []


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
    assert seen(asked) == ["start 0 on n1"]


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


def test_what_sbatch_says_is_passed_on(cluster: Cluster, make: Make, shared: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)sbatch refused the job.*invalid partition specified: x; touch pwned"):
        submit(make(partition="x; touch pwned"), cluster.call)
    assert not (shared / "run").exists()


def test_more_nodes_than_there_are(cluster: Cluster, make: Make) -> None:
    job = submit(make(nodes=9), cluster.call)
    told = concern(job, cluster.call)
    assert told is not None
    assert "PartitionConfig" in told


def test_a_run_that_stopped_is_requeued_and_followed_to_its_end(cluster: Cluster, make: Make) -> None:
    asked = make(STOP_ONCE)
    job = submit(asked, cluster.call)
    states: list[str] = []
    ended = follow(job, Path(asked.run_dir), report=states.append, call=cluster.call, poll=0.2)
    assert ended is ExitStatus.COMPLETE
    assert json.loads((Path(asked.run_dir) / "summary.json").read_text()) == {"status": "completed"}
    assert [line.split()[1] for line in seen(asked)] == ["0", "1"]
    assert states[-1] == f"job {job} is completed"
    assert cluster.job_field(job, "Restarts") == "1"


def test_a_cancelled_job_drains_and_stays_away(cluster: Cluster, make: Make) -> None:
    asked = make(LINGER)
    job = submit(asked, cluster.call)
    wait_until("the program to start", lambda: seen(asked) != [])
    cluster.run(["scancel", str(job)])
    ended = follow(job, Path(asked.run_dir), report=lambda _: None, call=cluster.call, poll=0.2)
    assert ended is ExitStatus.STOPPED
    # Slurm sends TERM to all processes of the job, so the program hears of it twice
    wait_until("the program to drain", lambda: "drained" in seen(asked))
    time.sleep(2)
    assert cluster.job_state(job) == "CANCELLED"
    assert cluster.job_field(job, "Restarts") == "0"
