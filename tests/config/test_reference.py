"""The reference for people is the one that the declarations give today."""

import re
from pathlib import Path

from mpibatch.config.choices import InputType
from mpibatch.config.reference import render
from mpibatch.config.schema import RunConfig
from mpibatch.config.settings import settings_of, wording
from mpibatch.config.values import OutputFile

JOBS = Path(__file__).parents[2] / "jobs"
REFERENCE = JOBS / "REFERENCE.md"


def test_the_reference_is_current() -> None:
    """`python -m mpibatch.config.reference > jobs/REFERENCE.md` makes it so."""
    assert REFERENCE.read_text(encoding="utf-8") == render()


def test_every_setting_has_its_row() -> None:
    rows = [line.split("|") for line in render().splitlines() if line.startswith("| `")]
    named = {row[1].strip(" `"): row for row in rows}
    assert {setting.key for setting in settings_of(RunConfig)} <= named.keys()
    assert [cell.strip() for cell in named["run_max_try"][2:5]] == ["a whole number from 1 to 255", "`3`", "✓"]
    assert all(len(row) in (6, 7) and row[-2].strip() for row in rows), "every row has a meaning"


def test_the_table_of_formats_has_each_of_them() -> None:
    """jobs/README.md says of every type of input and every suffix of output what arrives and what is written."""
    lines = (JOBS / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert {kind.value for kind in InputType} <= set(rows)
    suffixes = re.findall(r"\.\w+", wording(OutputFile))
    assert suffixes == [".txt", ".csv", ".jsonl", ".gz", ".zst", ".parquet", ".arrow"]
    assert all(any(suffix in row for row in rows) for suffix in suffixes)
