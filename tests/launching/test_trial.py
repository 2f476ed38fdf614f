"""`mpibatch submit --try`: the first mini-batch runs before anything waits in a queue."""

import os
from pathlib import Path

import pytest

from mpibatch.cluster.environment import without_launcher_variables
from mpibatch.config.load import load_job
from mpibatch.errors import ExitStatus
from mpibatch.launching.trial import TrialFailed, try_first

pytestmark = pytest.mark.processes

JOB = """\
name: first
inputs: {texts: {type: files, path: "*.txt"}}
parallel_run_config:
  entry_script: score.py
  mini_batch_size: 2
  run_invocation_timeout: {timeout}
  memory_per_process: 300MB
"""


def trial(folder: Path, run: str, init: str = "pass", timeout: int = 60) -> str:
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").touch()
    (folder / "score.py").write_text(f"import time\n\ndef init():\n    {init}\n\ndef run(mini_batch):\n    {run}\n")
    (folder / "job.yaml").write_text(JOB.replace("{timeout}", str(timeout)))
    return try_first(load_job(folder / "job.yaml"), without_launcher_variables(os.environ))


def test_what_works_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    assert trial(tmp_path, "return mini_batch").startswith(
        "mini-batch 0 was tried here: 2 rows for 2 items, run() took"
    )
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("run", "init", "timeout", "words"),
    [
        (
            "raise ValueError('no')",
            "pass",
            60,
            ["mini-batch 0 was tried here and failed", "ValueError: no", "score.py"],
        ),
        ("return mini_batch", "import nothing_of_the_kind", 60, ["init() was tried", "No module named", "Traceback"]),
        ("time.sleep(9)", "pass", 1, ["run_invocation_timeout: 1 s"]),
        ("x = b'x' * 600_000_000; time.sleep(50)", "pass", 60, ["memory_per_process: 300MB"]),
    ],
)
def test_what_does_not_is_refused(tmp_path: Path, run: str, init: str, timeout: int, words: list[str]) -> None:
    """With the job's own limits, and the traceback that somebody would otherwise read the next morning."""
    with pytest.raises(TrialFailed) as error:
        trial(tmp_path, run, init, timeout)
    assert error.value.status == ExitStatus.USAGE
    assert [word for word in words if word not in str(error.value)] == []
