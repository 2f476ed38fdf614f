"""A folder with a sound job, and functions that change one thing in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mpibatch.config.load import load_job
from mpibatch.config.schema import Job
from mpibatch.errors import JobFileError

Load = Callable[..., Job]
Problems = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "score.py").write_text("def run(mini_batch):\n    return mini_batch\n")
    (tmp_path / "model.bin").write_bytes(b"model")
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Load:
    """Loads a sound job with top-level keys replaced, and `config` merged into its parallel_run_config."""

    def load(config: dict[str, Any] | None = None, sets: tuple[str, ...] = (), **changes: Any) -> Job:
        job: dict[str, Any] = {
            "name": "test-job",
            "inputs": {"items": {"type": "files", "path": "data"}},
            "parallel_run_config": {"entry_script": "score.py", **(config or {})},
            **changes,
        }
        given = {key: value for key, value in job.items() if value is not ...}
        (folder / "job.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
        return load_job(folder / "job.yaml", sets)

    return load


@pytest.fixture
def problems(load: Load) -> Problems:
    """The problems of such a job."""

    def problems(*arguments: Any, **changes: Any) -> list[str]:
        with pytest.raises(JobFileError) as caught:
            load(*arguments, **changes)
        return caught.value.problems

    return problems
