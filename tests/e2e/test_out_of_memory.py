"""Scripts that take up memory faster than it is looked at, in whole jobs: only their own mini-batch fails."""

from pathlib import Path

import pytest

from mpibatch.worker.cgroup import find_delegation
from tests.conftest import Job

pytestmark = pytest.mark.processes

GREEDY = """
FILL = "b'x' * (3 << 30)"

def init():
    with open("cgroups", "a") as file:
        file.writelines(line for line in open("/proc/self/cgroup") if "/mpibatch-" in line)

def run(mini_batch):
    for name in names(mini_batch):
        if name == "0004":
            eval(FILL)
        if name == "0009":
            subprocess.run([sys.executable, "-c", FILL])
    return names(mini_batch)
"""


def test_only_what_takes_too_much_fails(job: Job) -> None:
    """Itself or by a child; with the cause and the figures, and nothing is left of executors' cgroups.

    The kernel stops it where it delegates cgroups, as in CI; anywhere else it is stopped later, by being watched.
    """
    job.write(GREEDY, 14, memory_per_process="250MB", run_max_try=1, error_threshold=-1)
    done = job.run(ranks=2)
    assert done.status == 0, done.said()
    bad = ["0004", "0009"]
    assert done.rows == [name for name in (f"{number:04}" for number in range(14)) if name not in bad]
    assert [(Path(failed["item"]).name, failed["cause"]) for failed in done.failed] == [
        (name, "out_of_memory") for name in bad
    ]
    for failed in done.failed:
        assert "more than memory_per_process: 250MB, and was ended" in failed["error"]
    assert done.summary["attempts"]["out_of_memory"] == 2
    delegation = find_delegation()
    if delegation.parent is not None and not delegation.room:
        used = (job.folder / "cgroups").read_text().splitlines()
        folders = [delegation.parent / line.rpartition("/")[2] for line in used]
        assert len(set(folders)) == len(folders) >= 3, "one for each executor"
        assert [folder for folder in folders if folder.exists()] == []
        most = max(event["memory"] for event in done.events)
        assert most < 350 << 20, "the limit of the cgroups is 314MB; libraries that others had loaded are not in there"
