"""`mpibatch submit` as a user meets it, and what stops a job: cancelled, out of time, a node lost."""

import json
import re
import shlex
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from mpibatch.errors import ExitStatus
from tests.cluster.slurm import REPOSITORY, Cluster, wait_until
from tests.cluster.work import MPIBATCH, Work, submit, write

pytestmark = [pytest.mark.processes, pytest.mark.ci]

HOSTILE = "50%j $(touch pwned) `touch pwned` a'b\"c ; touch pwned #"


def ask(cluster: Cluster, work: Work, *words: str) -> "subprocess.CompletedProcess[str]":
    """`mpibatch submit` with these options, whatever comes of it."""
    return cluster.run([*MPIBATCH, "submit", str(work.job), *words], cwd=work.folder, timeout=150, check=False)


def assert_no_job(cluster: Cluster) -> None:
    assert cluster.run(["squeue", "--noheader"]).stdout == ""


@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="the digits need TensorFlow")
def test_digits_on_three_nodes(cluster: Cluster, shared: Path) -> None:
    """The bytes of one rank, from three nodes; --wait tells how it goes and ends with the run's status."""
    job = str(REPOSITORY / "jobs" / "digits" / "job.yaml")
    command = [*MPIBATCH, "submit", job, "--nodes", "3", "--run-dir", str(shared / "three"), "--wait"]
    said = cluster.run(command, timeout=300).stdout.splitlines()
    assert re.fullmatch(r"job \d+", said[0])
    assert said[1] == f"run directory {shared / 'three'}"
    assert said[-1] == f"{said[0]} is completed"
    assert any(re.fullmatch(r"(\d+) of \1 mini-batches done", line) for line in said)
    cluster.run([*MPIBATCH, "run", job, "-n", "1", "--run-dir", str(shared / "one")], timeout=300)
    one, three = (shared / name / "outputs" / "parallel_run_step.txt" for name in ("one", "three"))
    assert three.read_bytes() == one.read_bytes()
    hosts = {rank["host"] for rank in json.loads((shared / "three" / "run.json").read_text())["ranks"]}
    assert hosts == {"n1", "n2", "n3"}


def test_text_on_three_nodes(cluster: Cluster, shared: Path) -> None:
    work = write(shared)
    said = ask(cluster, work, "--nodes", "3", "--time", "5", "--wait")
    assert said.returncode == ExitStatus.COMPLETE, said
    latest = work.folder / "runs" / "latest"
    assert said.stdout.splitlines()[1] == f"run directory {latest.resolve()}"
    assert work.output(latest) == work.expected


def test_the_status_of_a_run_that_is_given_up(cluster: Cluster, shared: Path) -> None:
    """Not only 0 comes back through Slurm; an aborted run is not requeued."""
    work = write(shared)
    (work.folder / "score.py").write_text("def run(mini_batch): raise ValueError('no')\n")
    said = ask(cluster, work, "--wait")
    assert said.returncode == ExitStatus.ABORTED
    assert "ValueError: no" in said.stdout, "the cause, and not only that it has failed"
    (log,) = (work.folder / "runs" / "latest").resolve().glob("logs/slurm-*.txt")
    assert f"job's log     {log}" in said.stdout
    assert_no_job(cluster)


def test_the_log_of_a_job_that_fails_before_the_run_begins(cluster: Cluster, shared: Path) -> None:
    said = ask(cluster, write(shared), "--wait", "--setup", "echo 'no such module' >&2; false")
    assert said.returncode == ExitStatus.ERROR
    assert "no such module" in said.stdout


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--memory", "500M"], {"SLURM_MEM_PER_CPU": "100", "SLURM_JOB_ID": "999", "SLURM_NTASKS": "7"}),
        (["--option=--export=NONE"], {}),
        (["--option=--gpus=4"], {}),
        (["--option=--gpus-per-task=1"], {}),
        (["--gpus", "2"], {}),
    ],
    ids=["called in another job", "export none", "gpus of the job", "gpus of a task", "gpus of a node"],
)
def test_what_shell_and_options_would_hand_to_mpirun(
    cluster: Cluster, shared: Path, words: list[str], variables: dict[str, str]
) -> None:
    """Each ended mpirun before a rank was there, since the srun that it calls took it up."""
    work = write(shared, process_count_per_node=2)
    command = [*MPIBATCH, "submit", str(work.job), "--run-dir", str(work.run_dir), "--nodes", "2", "--wait", *words]
    said = cluster.run(command, cwd=work.folder, env=variables, timeout=150, check=False)
    assert said.returncode == ExitStatus.COMPLETE, said.stdout + said.stderr
    assert work.output() == work.expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--partition", "x; touch pwned"], "invalid partition specified: x; touch pwned"),
        (["--nodes", "9"], "never start"),
        (["--time", "soon"], "Invalid --time specification"),
        (["--gpus", "1", "--option=--nice=1"], "2 executors on each node for 1 GPUs"),
        (["--option", "nice=1"], "must begin with -"),
        (["--prefix", "a 'b"], "--prefix"),
    ],
)
def test_what_cannot_be_leaves_nothing(cluster: Cluster, shared: Path, words: list[str], message: str) -> None:
    work = write(shared, process_count_per_node=2)
    said = ask(cluster, work, *words)
    assert said.returncode == ExitStatus.USAGE
    assert message in said.stderr
    assert "Traceback" not in said.stderr
    assert_no_job(cluster)
    assert not (work.folder / "runs").exists() or list((work.folder / "runs").iterdir()) == []
    assert not (work.folder / "pwned").exists()


def test_without_slurm(shared: Path, tmp_path: Path) -> None:
    work = write(shared)
    command = [*MPIBATCH, "submit", str(work.job)]
    env = {"PATH": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert said.returncode == ExitStatus.USAGE
    assert "this machine has no Slurm" in said.stderr


def test_hostile_words(cluster: Cluster, shared: Path) -> None:
    """In the paths, a parameter, the account and more options of sbatch: nothing runs, all arrives as it is."""
    work = write(shared / HOSTILE)
    job_file = json.loads(work.job.read_text())
    job_file["parameters"]["note"] = ""
    work.job.write_text(json.dumps(job_file))
    options = [
        "--run-dir", str(work.run_dir), "--set", f"note={HOSTILE}", "--account", HOSTILE, "--option", "--comment='; x'"
    ]  # fmt: skip
    said = ask(cluster, work, *options, "--wait")
    assert said.returncode == ExitStatus.COMPLETE, said
    assert work.output() == work.expected
    assert json.loads((work.run_dir / "run.json").read_text())["job"]["parameters"]["note"] == HOSTILE
    job_file["name"] = "x; touch pwned"
    work.job.write_text(json.dumps(job_file))
    assert ask(cluster, work).returncode == ExitStatus.USAGE
    assert list(shared.rglob("pwned")) == []
    assert cluster.srun("-N3", "sh", "-c", "ls -d pwned ~/pwned /tmp/pwned", check=False).stdout == ""


def wait_for(work: Work, number: int) -> None:
    """Until so many run() have been begun."""
    wait_until(f"{number} mini-batches to be begun", lambda: len(work.attempts()) >= number, timeout=60)


def assert_completed(cluster: Cluster, work: Work, job: int, ranks: int) -> None:
    """The bytes of an undisturbed run; of each rank at most what it ran and what it had just done are done again."""
    assert cluster.wait_job(job, timeout=110) == "COMPLETED", work.logs()
    assert work.output() == work.expected
    assert work.summary()["restarts"] == int(cluster.job_field(job, "Restarts"))
    assert work.repeated() <= 2 * ranks


@pytest.mark.parametrize(("nodes", "way"), [("1", []), ("2", ["--batch", "--signal=TERM"])])
def test_a_cancelled_job_drains_and_stays_away(cluster: Cluster, shared: Path, nodes: str, way: list[str]) -> None:
    """What runs is let end, though Slurm sends SIGTERM to every process of the job; then the run can be resumed.

    Over several nodes only where the batch script alone is told, since mpirun cannot live on without its daemons.
    """
    work = write(shared, total=24, seconds=0.5, process_count_per_node=2)
    job = submit(cluster, work, "--nodes", nodes)
    wait_for(work, 8)
    cluster.run(["scancel", *way, str(job)])
    assert cluster.wait_job(job) in ("CANCELLED", "FAILED")
    wait_until("the run to end", (work.run_dir / "summary.json").exists)
    assert work.summary()["status"] == "stopped"
    assert work.summary()["mini_batches"]["succeeded"] == len(work.attempts())
    assert work.expected.startswith(work.output())
    assert cluster.job_field(job, "Restarts") == "0"
    cluster.run([*MPIBATCH, "resume", str(work.run_dir), "-n", "2"])
    assert work.output() == work.expected
    assert work.repeated() == 0


def test_a_cancelled_job_of_two_nodes_loses_only_what_ran(cluster: Cluster, shared: Path) -> None:
    work = write(shared, total=24, seconds=0.5)
    job = submit(cluster, work, "--nodes", "2")
    wait_for(work, 8)
    cluster.run(["scancel", str(job)])
    assert cluster.wait_job(job) == "CANCELLED"
    time.sleep(1)  # the shell of the job has gone, the ranks are going
    cluster.run([*MPIBATCH, "resume", str(work.run_dir), "-n", "2"])
    assert work.output() == work.expected
    assert work.repeated() <= 4


ENDS_SOON = '[ "$SLURM_RESTART_COUNT" ] || export SLURM_JOB_END_TIME=$(($(date +%s) + 22))'


@pytest.mark.parametrize(
    ("total", "options"),
    [
        (100, ["--time", "5", "--setup", ENDS_SOON]),
        (260, ["--time", "1"]),  # Slurm's shortest, and its own word for it
    ],
    ids=["in the environment", "a minute"],
)
def test_a_time_limit_that_is_too_short(cluster: Cluster, shared: Path, total: int, options: list[str]) -> None:
    """The run stops before the limit, with 75, is requeued, and is complete after a second allocation."""
    work = write(shared, total=total, seconds=0.4)
    job = submit(cluster, work, "--nodes", "2", *options)
    wait_until("the first allocation to end", lambda: cluster.job_field(job, "Restarts") == "1", 90)
    first = work.summary()
    assert first["status"] == "stopped"
    assert work.repeated() < 0  # there is work left
    assert_completed(cluster, work, job, ranks=2)
    assert work.repeated() == 0, work.logs()  # each time what ran was let end


def test_ranks_that_srun_starts_drain_and_are_requeued(cluster: Cluster, shared: Path, srun_mpi: str) -> None:
    """The signal of the batch script passes through srun to the ranks, and their exit status back."""
    work = write(shared, total=30, seconds=0.3)
    job = submit(cluster, work, "--nodes", "3", "--prefix", f"srun {srun_mpi}")
    wait_for(work, 8)
    cluster.run(["scancel", "--batch", "--signal=USR1", str(job)])
    wait_until("the job to leave", lambda: cluster.job_state(job) == "PENDING")
    assert work.summary()["status"] == "stopped"
    assert_completed(cluster, work, job, ranks=3)
    assert work.repeated() == 0


def at_work_on_two_nodes(cluster: Cluster, shared: Path, total: int = 60, **config: object) -> tuple[Work, int]:
    """A job of one rank on n1 and one on n2, which have begun 20 of its mini-batches, and its id."""
    work = write(shared, total=total, seconds=0.3, **config)
    job = submit(cluster, work, "--nodes", "2")
    wait_for(work, 20)
    return work, job


def test_the_node_of_rank_0_crashes(cluster: Cluster, shared: Path) -> None:
    """Slurm requeues the job; it goes on, on other nodes, from what the dead coordinator left."""
    work, job = at_work_on_two_nodes(cluster, shared)
    cluster.crash("n1")
    cluster.declare_down("n1")
    assert_completed(cluster, work, job, ranks=2)
    assert cluster.job_field(job, "NodeList") == "n[2-3]"


def test_a_node_is_cut_off(cluster: Cluster, shared: Path) -> None:
    """It lives on and is heard of by nobody: what it runs must not come twice into the output."""
    work, job = at_work_on_two_nodes(cluster, shared, rank_timeout=5)
    cluster.cut("n2")
    cluster.declare_down("n2")
    assert_completed(cluster, work, job, ranks=2)


def test_the_node_of_rank_0_is_cut_off(cluster: Cluster, shared: Path) -> None:
    """It goes on, since it reaches the run directory; the job that Slurm starts again elsewhere waits for it."""
    work, job = at_work_on_two_nodes(cluster, shared, total=120, rank_timeout=5)
    cluster.cut("n1")
    cluster.declare_down("n1")
    assert cluster.wait_job(job, timeout=110) == "COMPLETED", work.logs()
    assert cluster.job_field(job, "NodeList") == "n[2-3]"
    assert work.output() == work.expected
    assert work.repeated() <= 2 * 2
    assert "That is waited for" in (work.run_dir / "logs" / f"slurm-{job}.txt").read_text()


@pytest.mark.parametrize("accident", ["crash", "cut"])
def test_the_ranks_go_on_on_the_nodes_that_are_left(cluster: Cluster, shared: Path, accident: str) -> None:
    """A job that Slurm lets live without a node (--no-kill), by another mpirun on the nodes that are left.

    Nobody tells mpirun of a node that is cut off: its rank falls silent.
    """
    work = write(shared, total=60, seconds=0.3, rank_timeout=5)
    run = [*MPIBATCH, "run", str(work.job), "--run-dir", str(work.run_dir), "-n", "3", "--restarts", "3"]
    log = shared / "log.txt"
    job = cluster.sbatch("--no-kill", "-N3", f"--output={log}", "--wrap", shlex.join(run), cwd=shared)
    wait_for(work, 20)
    getattr(cluster, accident)("n3")
    wait_until("the run to end", (work.run_dir / "summary.json").exists, timeout=90)
    assert work.output() == work.expected
    assert work.repeated() <= 2 * 3
    cluster.declare_down("n3")  # sooner than Slurm would; only then the job can end
    assert cluster.wait_job(job) == "COMPLETED", log.read_text()
