"""A job for the cluster tests: what it has done, and how often, can be counted afterwards.

write(folder) --> job.yaml, score.py, a file an item     mpibatch, as a user starts it
                  attempts.txt: a line for each run() that was begun, from all nodes
"""

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.slurm import Cluster

MPIBATCH = (sys.executable, "-m", "mpibatch")

SCRIPT = """\
import os
import time
from pathlib import Path

LOG = os.open(Path(__file__).with_name("attempts.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def run(mini_batch, context):
    words = [context.minibatch_index, os.environ["MPIBATCH_RANK"], os.uname().nodename]
    words.append(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
    os.write(LOG, (" ".join(map(str, words)) + "\\n").encode())
    time.sleep({seconds})
    return [f"{{context.minibatch_index}} {{Path(path).name}} {{Path(path).read_text()}}" for path in mini_batch]
"""


@dataclass(frozen=True)
class Attempt:
    """One line of attempts.txt: a run() that was begun."""

    mini_batch: int
    rank: int
    host: str
    gpu: str


@dataclass(frozen=True)
class Work:
    """A job of `total` mini-batches of one file each."""

    folder: Path
    total: int

    @property
    def job(self) -> Path:
        return self.folder / "job.yaml"

    @property
    def run_dir(self) -> Path:
        """Where tests put the run."""
        return self.folder / "run"

    @property
    def expected(self) -> str:
        """What any run of it leaves, however it went."""
        return "".join(f"{number} {number:04}.txt {number * number}\n" for number in range(self.total))

    def output(self, run_dir: Path | None = None) -> str:
        return ((run_dir or self.run_dir) / "outputs" / "parallel_run_step.txt").read_text()

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run_dir / "summary.json").read_text())
        return found

    def attempts(self) -> list[Attempt]:
        path = self.folder / "attempts.txt"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [Attempt(int(number), int(rank), host, gpu) for number, rank, host, gpu in lines]

    def repeated(self) -> int:
        """How many run() were begun beyond the first of each mini-batch."""
        return sum(Counter(attempt.mini_batch for attempt in self.attempts()).values()) - self.total

    def logs(self) -> str:
        """What ranks and Slurm wrote, for the message of a failure."""
        files = sorted(path for path in (self.run_dir / "logs").rglob("*.txt") if path.stat().st_size)
        return "\n".join(f"--- {path.relative_to(self.run_dir)}\n{path.read_text()[-3000:]}" for path in files)


def write(folder: Path, total: int = 12, seconds: float = 0.05, **config: object) -> Work:
    """The job in `folder`; config: settings of parallel_run_config besides."""
    data = folder / "data"
    data.mkdir(parents=True)
    for number in range(total):
        (data / f"{number:04}.txt").write_text(str(number * number))
    (folder / "score.py").write_text(SCRIPT.format(seconds=seconds))
    job = {
        "name": "squares",
        "parameters": {"batch_size": 1},
        "inputs": {"numbers": {"type": "files", "path": "data"}},
        "parallel_run_config": {
            "entry_script": "score.py",
            "mini_batch_size": "${{ parameters.batch_size }}",
            "process_count_per_node": 1,
            **config,
        },
    }
    (folder / "job.yaml").write_text(json.dumps(job))  # JSON is YAML
    return Work(folder, total)


def submit(cluster: Cluster, work: Work, *options: str) -> int:
    """Submits the job as a user does; its id."""
    command = [*MPIBATCH, "submit", str(work.job), "--run-dir", str(work.run_dir), *options]
    first_line = cluster.run(command, cwd=work.folder).stdout.splitlines()[0]
    return int(first_line.removeprefix("job "))
