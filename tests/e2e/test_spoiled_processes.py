"""Scripts that spoil their process, in whole jobs: what another mini-batch has done to the process costs none."""

import pytest

from tests.conftest import Job

pytestmark = pytest.mark.processes

SPOILED = """
STUCK = []
with open("starts", "a") as file:
    file.write("x")
def run(mini_batch):
    if any(name.endswith("7") for name in names(mini_batch)):
        STUCK.append(1)
    if STUCK:
        raise RuntimeError("device-side assert")
    return names(mini_batch)
"""


@pytest.mark.parametrize("isolate", [False, True])
def test_only_what_spoils_its_process_fails(isolate: bool, job: Job) -> None:
    """One bad item lost all that followed it: each retry spoiled the next rank."""
    job.write(SPOILED, 40, mini_batch_size=2, error_threshold=-1, run_max_try=2, isolate_failures=isolate)
    done = job.run(ranks=2)
    assert done.status == 0, done.said()
    bad = (7, 17, 27, 37)
    lost = [f"{number:04}" for number in (bad if isolate else sorted([number - 1 for number in bad] + [*bad]))]
    assert [failed["item"].rpartition("/")[2] for failed in done.failed] == lost
    assert done.stdout.count("its executor is replaced") == 1, done.said()
    starts = len((job.folder / "starts").read_text())
    alone = len(bad) if isolate else 0  # the parts that fail under isolation
    assert starts <= 2 + done.summary["attempts"]["user_error"] + alone, "at most one for each failure"
    errors = (done.run_dir / "logs/user/error.txt").read_text()
    assert errors.count("Traceback (most recent") <= 2 < errors.count("device-side assert")
