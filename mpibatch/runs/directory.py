"""The run directory: where each file of a run is, and how a small one is replaced without ever being half there."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from mpibatch.errors import RunDirectoryError


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Names below `path`, an absolute folder."""

    path: Path

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def run_json_copy(self) -> Path:
        """What is read where a crash of the machine, or a person, has left run.json empty or damaged."""
        return self.path / ".run.json.copy"

    def environment(self, key: str) -> Path:
        """The values of the job's environment variables, for its owner's eyes only: they may be secrets."""
        return self.path / f".environment.{key}.json"

    @property
    def plan_copy(self) -> Path:
        """Likewise for plan.parquet."""
        return self.path / ".plan.parquet.copy"

    @property
    def plan(self) -> Path:
        return self.path / "plan.parquet"

    @property
    def is_planned(self) -> bool:
        """Whether there is a run to be gone on with: the copy is written first."""
        return self.plan_copy.exists() or self.plan.exists()

    @property
    def dataset_states(self) -> Path:
        """What the datasets found out while they planned; as durable as the plan, which is written after it."""
        return self.path / "dataset_states.bin"

    @property
    def outputs(self) -> Path:
        """The one output folder, MPIBATCH_OUTPUT_DIR: the append_row file, and what scripts write themselves."""
        return self.path / "outputs"

    @property
    def failed_items(self) -> Path:
        return self.path / "failed_items.jsonl"

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def summary_text(self) -> Path:
        """The same for people: what a run says when it ends."""
        return self.path / "summary.txt"

    @property
    def events(self) -> Path:
        return self.path / "events.bin"

    @property
    def error_log(self) -> Path:
        return self.path / "logs" / "user" / "error.txt"

    @property
    def executors(self) -> Path:
        """A JSON line for each executor that became ready: rank, host, when, and how long it took."""
        return self.path / "executors.jsonl"

    @property
    def resources(self) -> Path:
        """A CSV file for each host: what its cores, memory and GPUs did."""
        return self.path / "resources"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def progress_log(self) -> Path:
        return self.path / "logs" / "job_progress_overview.txt"

    @property
    def group_footers(self) -> Path:
        """Of an output of row groups, until it is complete: what the end of the file says of each."""
        return self.path / "group_footers.bin"

    def results(self, epoch: int) -> Path:
        return self.path / f"results.{epoch}.log"

    def results_index(self, epoch: int) -> Path:
        return self.path / f"results.{epoch}.index"

    def results_logs(self) -> dict[int, Path]:
        """The results logs that are there, by epoch, the oldest first."""
        names = ((path.name.split("."), path) for path in self.path.glob("results.*.log"))
        return dict(sorted((int(name[1]), path) for name, path in names if len(name) == 3 and name[1].isdecimal()))

    def rank_log(self, stream: str, host: str, rank: int) -> Path:
        """`stream`: user/stdout, user/stderr, user/entry_script_log or sys."""
        return self.path / "logs" / stream / host / f"rank{rank}.txt"

    def make_parent(self, path: Path) -> None:
        """Makes the folder of a file in here. Raises OSError.

        FileNotFoundError where the run directory itself is gone: made again, without what was in it, it would be taken
        for one that is damaged.
        """
        folder = self.path
        for name in path.parent.relative_to(self.path).parts:
            folder /= name
            folder.mkdir(exist_ok=True)


def create(parent: Path) -> RunDirectory:
    """A fresh `<UTC time>-<short id>` below `parent`, and `latest` pointing to it."""
    directory = create_at(parent / new_run_name())
    update_latest(directory.path)
    return directory


def new_run_name() -> str:
    """`<UTC time>-<short id>`: sorts by age, and no two runs share one."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(3).hex()}"


def update_latest(path: Path) -> None:
    """`latest` beside the run directory `path`; the run is no worse where there can be none."""
    link = path.with_name(f".latest-{os.urandom(4).hex()}")
    try:
        link.symlink_to(path.name)
        link.replace(path.with_name("latest"))
    except OSError:  # a file system without links, or a folder called `latest`
        link.unlink(missing_ok=True)


def create_at(path: Path) -> RunDirectory:
    """The run directory at `path`, which may exist empty. Raises RunDirectoryError where it cannot be made."""
    directory = RunDirectory(path.absolute())
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        directory.outputs.mkdir(parents=True, exist_ok=True)
        directory.error_log.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(
            f"cannot make the run directory {directory.path}: {error.strerror}. "
            "Is the parent folder there and writable? Choose another with --output DIR."
        ) from error
    return directory
