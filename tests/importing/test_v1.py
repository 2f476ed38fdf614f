"""v1 configurations as jobs."""

from pathlib import Path

import pytest

from mpibatch.config.load import job_from_data
from mpibatch.errors import UsageError
from mpibatch.importing.load import import_file

CONFIG = """
entry_script: score.py
source_directory: scripts
mini_batch_size: "5"
error_threshold: 10
output_action: append_row
append_row_file_name: rows.txt
run_max_try: 3
run_invocation_timeout: "600"
node_count: 2
process_count_per_node: null
logging_level: DEBUG
environment_name: env
compute_target_name: cpu
input_format: x
"""


def test_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries stay tries, numbers in quotes are numbers, and it is a job that loads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "score.py").write_text("def run(mini_batch): return mini_batch\n")
    (tmp_path / "Config_1.yml").write_text(CONFIG)
    made = import_file(tmp_path / "Config_1.yml")
    job = job_from_data(made.data, tmp_path)
    assert (job.name, job.config.run_max_try, job.config.run_invocation_timeout) == ("config-1", 3, 600)
    assert (job.config.node_count, job.config.process_count_per_node, job.config.error_threshold) == (2, 1, 10)
    assert job.config.mini_batch_size is not None
    assert job.config.mini_batch_size.value == 5
    left = {note.split()[0] for note in made.notes[1:]}
    assert left == {"environment_name", "compute_target_name", "input_format"}
    assert made.notes[0].startswith("inputs: the file names none")


def test_another_file(tmp_path: Path) -> None:
    """It says what would be one."""
    (tmp_path / "x.yml").write_text("a: 1")
    with pytest.raises(UsageError, match="no job file of Azure"):
        import_file(tmp_path / "x.yml")
