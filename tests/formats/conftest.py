"""What the tests of whole runs over tables share: a job folder, and a run of it in processes of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mpibatch.cluster.environment import without_launcher_variables
from mpibatch.errors import ExitStatus

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """A run that has ended. said: on the console, both streams."""

    status: int
    said: str
    directory: Path
    summary: dict[str, Any]

    @property
    def output(self) -> bytes:
        return self.directory.joinpath(self.summary["output"]).read_bytes()

    @property
    def failed(self) -> list[dict[str, Any]]:
        lines = (self.directory / "failed_items.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class JobFolder:
    """A folder with data and a script, in which jobs are run."""

    path: Path

    def script(self, text: str) -> None:
        (self.path / "score.py").write_text(text)

    def run(self, ranks: int, inputs: dict[str, Any], *, more: dict[str, Any] | None = None, **config: Any) -> Ended:
        """Runs score.py over `inputs`. more: keys of the job file beside inputs and parallel_run_config."""
        job = {
            "name": "formats",
            **({"inputs": inputs} if inputs else {}),
            "parallel_run_config": {"entry_script": "score.py", "coordinator_works": True, **config},
            **(more or {}),
        }
        (self.path / "job.yaml").write_text(json.dumps(job))  # JSON is YAML
        done = subprocess.run(
            [sys.executable, "-m", "mpibatch", "run", str(self.path / "job.yaml"), "-n", str(ranks)],
            env={**without_launcher_variables(os.environ), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=110,
            check=False,
        )
        directory = self.path / "runs" / "latest"
        assert (directory / "summary.json").exists(), done.stdout
        summary = json.loads((directory / "summary.json").read_text())
        return Ended(done.returncode, done.stdout, directory.resolve(), summary)

    def run_through(
        self, ranks: int, inputs: dict[str, Any], *, more: dict[str, Any] | None = None, **config: Any
    ) -> Ended:
        """The same, of a job that is to succeed."""
        ended = self.run(ranks, inputs, more=more, **config)
        assert ended.status == ExitStatus.COMPLETE, ended.said
        assert ended.summary["mini_batches"]["remaining"] == 0
        return ended


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path)
