"""The fixture itself: nodes, GPUs, and the accidents that later tests rely on."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.slurm import PREFIX, Cluster, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.ci]

SHOW = ("sh", "-c", "echo $(hostname) $CUDA_VISIBLE_DEVICES")


def test_each_node_has_a_host_name(cluster: Cluster) -> None:
    hosts = cluster.srun("-N3", "-n6", "hostname").stdout.split()
    assert sorted(hosts) == ["n1", "n1", "n2", "n2", "n3", "n3"]


def test_each_task_gets_a_gpu_of_its_node(cluster: Cluster) -> None:
    bound = cluster.srun("-N3", "-n6", "--gpus-per-task=1", *SHOW)
    assert sorted(bound.stdout.splitlines()) == ["n1 0", "n1 1", "n2 0", "n2 1", "n3 0", "n3 1"]


def start_step(cluster: Cluster, shared: Path) -> "subprocess.Popen[str]":
    step = cluster.start(["srun", "-N3", "-n3", "sh", "-c", f"touch {shared}/$(hostname); sleep 300"])
    wait_until("the step to run", lambda: len(list(shared.iterdir())) == 3)
    return step


def test_a_crashed_node_fails_the_step_and_boots_again(cluster: Cluster, shared: Path) -> None:
    with start_step(cluster, shared) as step:
        cluster.crash("n3")
        cluster.declare_down("n3")
        _, errors = step.communicate(timeout=60)
    assert step.returncode != 0
    assert "n3" in errors
    cluster.mend("n3")
    assert cluster.srun("--nodelist=n3", "hostname").stdout == "n3\n"


def hears(cluster: Cluster, node: str) -> bool:
    """Whether its slurmd takes a connection."""
    knock = ["timeout", "2", "bash", "-c", f"</dev/tcp/{node}/6818"]
    return cluster.run(knock, check=False).returncode == 0


def test_a_cut_node_hears_nothing_until_it_is_mended(cluster: Cluster) -> None:
    assert hears(cluster, "n2")
    cluster.cut("n2")
    assert not hears(cluster, "n2")
    cluster.mend("n2")
    assert hears(cluster, "n2")
    assert cluster.srun("--nodelist=n2", "hostname").stdout == "n2\n"


def test_nodes_share_folders_but_no_tmp(cluster: Cluster, shared: Path) -> None:
    shared_tmp = (cluster.folder / "shared-tmp").exists()  # this checkout lies under /tmp
    cluster.srun("-N3", "-n3", "sh", "-c", f"touch /tmp/mine-$(hostname) {shared}/ours-$(hostname)")
    assert sorted(path.name for path in shared.iterdir()) == ["ours-n1", "ours-n2", "ours-n3"]
    assert cluster.srun("--nodelist=n1", "sh", "-c", "ls /tmp | grep mine").stdout.split() == (
        ["mine-n1", "mine-n2", "mine-n3"] if shared_tmp else ["mine-n1"]
    )


def test_a_job_runs_and_its_end_is_seen(cluster: Cluster, shared: Path) -> None:
    good = cluster.sbatch("--wrap=true", cwd=shared)
    bad = cluster.sbatch("--wrap=exit 3", cwd=shared)
    assert cluster.wait_job(good) == "COMPLETED"
    assert cluster.wait_job(bad) == "FAILED"
    assert cluster.job_field(bad, "ExitCode") == "3:0"


def test_nothing_is_left_of_a_session_that_is_killed(shared: Path) -> None:
    """Also: a second cluster beside the first, and the next one sweeps the folder of the killed one away."""
    program = (
        "import sys, time\n"
        "from tests.cluster.slurm import Cluster\n"
        "cluster = Cluster(nodes=1)\n"
        "cluster.up()\n"
        "print(cluster.folder, flush=True)\n"
        "time.sleep(100)\n"
    )
    repository = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=repository, stdout=subprocess.PIPE, text=True
    ) as session:
        assert session.stdout is not None
        folder = Path(session.stdout.readline().strip())
        assert folder.name.startswith(f"{PREFIX}{session.pid}-")
        session.kill()
    mounted = str(folder)
    wait_until("its processes to end", lambda: not processes_that_mention(mounted), timeout=10)
    assert mounted not in Path("/proc/mounts").read_text()
    again = Cluster(nodes=1)
    again.up()
    again.down()
    assert not folder.exists()
    assert not again.folder.exists()


def processes_that_mention(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if word in command:
            found.append(command)
    return found


def test_a_start_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cluster.slurm.SLURM_CONF", "Nonsense=yes\n")
    cluster = Cluster(nodes=1)
    with pytest.raises(RuntimeError, match="controller did not start"):
        cluster.up()
    assert not cluster.folder.exists()
    assert not processes_that_mention(str(cluster.folder))
