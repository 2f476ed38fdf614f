"""A job in a folder of its own, and runs of it: what every measurement of mpibatch begins with."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import watch
from mpibatch.runs.directory import RunDirectory

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}  # scripts and peers import the work from here


@dataclass(frozen=True, slots=True)
class Run:
    """One that has completed."""

    directory: RunDirectory
    summary: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Of processing: from the first grant to the output file closed."""
        return float(self.summary["seconds"]["processing"])

    @property
    def output(self) -> Path:
        return self.directory.path / str(self.summary["output"])


@dataclass(frozen=True, slots=True)
class BenchmarkJob:
    """file: of the job, in a folder with its script."""

    file: Path

    @staticmethod
    def write(folder: Path, script: str, inputs: dict[str, Any] | None = None, **config: Any) -> "BenchmarkJob":
        """inputs, config: as a job file has them under `inputs` and `parallel_run_config`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "script.py").write_text(script)
        job: dict[str, Any] = {"name": "benchmark", "parallel_run_config": {"entry_script": "script.py", **config}}
        if inputs:
            job["inputs"] = inputs
        (folder / "job.yaml").write_text(json.dumps(job))  # JSON is YAML
        return BenchmarkJob(folder / "job.yaml")

    @staticmethod
    def of_paths(folder: Path, script: str, paths: list[str], mini_batch_size: int) -> "BenchmarkJob":
        """Over files that a manifest names; they need not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "paths.txt").write_text("".join(f"{path}\n" for path in paths))
        inputs = {"files": {"type": "files", "path": {"manifest": "paths.txt"}}}
        return BenchmarkJob.write(folder, script, inputs, mini_batch_size=mini_batch_size)

    def command(self, ranks: int) -> list[str]:
        return [sys.executable, "-m", "mpibatch", "run", str(self.file), "-n", str(ranks)]

    def run(self, ranks: int) -> Run:
        """Raises CalledProcessError where it does not complete."""
        subprocess.run(self.command(ranks), check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
        return self.completed(RunDirectory(self.file.parent / "runs" / "latest"))

    def run_watched(self, ranks: int) -> tuple[Run, list[watch.Process]]:
        """The same, and the peak memory of every process, the largest first."""
        processes = watch.watched(self.command(ranks), ENVIRONMENT)
        return self.completed(RunDirectory(self.file.parent / "runs" / "latest")), processes

    @staticmethod
    def completed(directory: RunDirectory) -> Run:
        summary = json.loads(directory.summary.read_text())
        assert summary["status"] == "completed", summary
        return Run(directory, summary)
