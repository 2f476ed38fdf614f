"""What validate finds before a run would: every input planned, files looked at, the output's place."""

from pathlib import Path

import pytest

from mpibatch.config.load import job_from_data
from mpibatch.config.schema import Job
from mpibatch.errors import JobFileError
from mpibatch.planning.check import check


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "score.py").write_text("def run(mini_batch):\n    return mini_batch\n")
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text("")
    return tmp_path


def job(folder: Path, paths: dict[str, str], threshold: int = 0) -> Job:
    inputs = {name: {"type": "files", "path": path} for name, path in paths.items()}
    config = {"entry_script": "score.py", "mini_batch_size": 2, "error_threshold": threshold}
    data = {"name": "checked", "inputs": inputs, "parallel_run_config": config}
    return job_from_data(data, folder, name=str(folder / "job.yaml"))


def test_inputs_are_planned_one_after_the_other(folder: Path) -> None:
    checked = check(job(folder, {"all": "*.txt", "one": "a.txt"}), "job.yaml")
    assert [(input.first, input.plan.total) for input in checked.inputs] == [(0, 2), (2, 1)]
    assert checked.inputs[0].plan.smallest_and_largest() == (1, 2)
    assert not checked.warnings


def test_every_input_that_cannot_be_planned_is_named(folder: Path) -> None:
    with pytest.raises(JobFileError) as caught:
        check(job(folder, {"none": "*.png", "gone": "gone.txt", "fine": "a.txt"}), "job.yaml")
    assert len(caught.value.problems) == 2
    assert "input 'none': nothing matches" in caught.value.problems[0]
    assert "input 'gone': there is no such file" in caught.value.problems[1]


def test_dangling_links_are_a_warning_while_they_are_tolerated(folder: Path) -> None:
    (folder / "d.txt").symlink_to("nowhere")
    (warning,) = check(job(folder, {"all": "*.txt"}, threshold=1), "job.yaml").warnings
    assert "is a link that leads nowhere" in warning
    with pytest.raises(JobFileError, match="1 items would fail, and error_threshold is 0"):
        check(job(folder, {"all": "*.txt"}), "job.yaml")
    assert check(job(folder, {"all": "*.txt"}, threshold=-1), "job.yaml").warnings


def test_an_output_that_is_not_writable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = job(folder, {"all": "*.txt"})
    monkeypatch.setattr("os.access", lambda path, mode: False)  # tests may run as root, who may write everywhere
    with pytest.raises(JobFileError, match="is not writable for this user"):
        check(found, "job.yaml")
