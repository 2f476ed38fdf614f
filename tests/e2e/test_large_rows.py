"""Mini-batches whose rows are large: each rank holds them once."""

from pathlib import Path

import pytest

from tests.conftest import Job

pytestmark = pytest.mark.processes

MB = 1_000_000
ROWS = 200 * MB  # of one mini-batch
ALLOWED = 150 * MB  # for all else: Python, MPI and its buffers, what is under way of the next mini-batch

# Both peaks are read when all is final: the other rank's by shutdown(), rank 0's by itself
SCRIPT = f"""
def status(pid):
    return Path(f"/proc/{{pid}}/status").read_text()

def run(mini_batch):
    number = int(names(mini_batch)[0])
    return [f"{{number}} {{at}} ".ljust({MB}, chr(97 + at % 26)) for at in range({ROWS // MB})]

def shutdown():
    supervisor = os.getppid()
    rank = int(status(supervisor).partition("PPid:")[2].split()[0])
    Path("rank-1.txt").write_text(status(rank))
"""
AT_THE_END = """
import os, sys
if "mpibatch.mpi" in sys.orig_argv and os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK")) == "0":
    from pathlib import Path
    from mpibatch.mpi.coordinator import Coordinator
    before = Coordinator.finish
    def finish(self, end):
        Path("FOLDER", "rank-0.txt").write_text(Path("/proc/self/status").read_text())
        return before(self, end)
    Coordinator.finish = finish
"""


def peak(path: Path) -> int:
    """The most resident memory of the process whose status file this is, in bytes."""
    return int(path.read_text().partition("VmHWM:")[2].split()[0]) * 1024


def test_each_process_holds_the_rows_of_a_mini_batch_once(either_mpi: Job) -> None:
    """They held them two to four times."""
    job = either_mpi
    job.write(SCRIPT, 3, coordinator_works=False)
    (job.folder / "site").mkdir()
    (job.folder / "site" / "sitecustomize.py").write_text(AT_THE_END.replace("FOLDER", str(job.folder)))
    path = f"{job.folder / 'site'}:{job.environment()['PYTHONPATH']}"
    done = job.run(ranks=2, variables={"PYTHONPATH": path})
    assert done.status == 0, done.said()
    output = done.run_dir / "outputs" / "parallel_run_step.txt"
    assert output.stat().st_size == 3 * (ROWS + ROWS // MB)
    with output.open() as file:
        for index, row in enumerate(file):
            number, at = divmod(index, ROWS // MB)
            assert row == f"{number} {at} ".ljust(MB, chr(97 + at % 26)) + "\n"
    assert peak(job.folder / "rank-1.txt") < ROWS + ALLOWED
    assert peak(job.folder / "rank-0.txt") < ROWS + ALLOWED
