"""`mpibatch init` gives a job that works as it is and never writes over anything."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mpibatch.config.load import load_job
from mpibatch.config.template import write_template
from mpibatch.errors import UsageError


def test_the_new_job_is_sound_and_its_script_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_template(tmp_path / "new", "word-count")
    assert all(file.is_file() for file in files)
    job = load_job(tmp_path / "new" / "job.yaml", ["batch_size=3"])
    text = (tmp_path / "new" / "job.yaml").read_text()
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=job.schema.json"
    schema = json.loads((tmp_path / "new" / "job.schema.json").read_text())
    Draft202012Validator(schema).validate(yaml.safe_load(text))
    assert job.name == "word-count"
    assert job.config.mini_batch_size is not None
    assert job.config.mini_batch_size.value == 3
    monkeypatch.setattr(sys, "argv", ["score.py", *job.arguments])
    script = runpy.run_path(str(tmp_path / "new" / "score.py"))
    script["init"]()
    assert script["run"]([str(tmp_path / "new" / "data" / "one.txt")]) == ["one.txt 5"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.from_regex(r"[a-z]([-a-z0-9]{1,30}[a-z0-9])", fullmatch=True) | st.sampled_from(["yes", "off", "null"]))
def test_every_valid_name_gives_a_sound_job(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """`name: off` would be false in YAML."""
    folder = tmp_path_factory.mktemp("job")
    write_template(folder, name)
    assert load_job(folder / "job.yaml").name == name


@pytest.mark.parametrize("name", ["ab", "A-b", "1ab", "ab-", "a" * 33, "a/b", "../x", "abc\n", "", "a b", "äbc"])
def test_bad_names_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name for a job"):
        write_template(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write_template(tmp_path, "new-job")
    with pytest.raises(UsageError, match="cannot be written"):
        write_template(tmp_path / "mine.txt", "new-job")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
