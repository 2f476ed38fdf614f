"""A job survives run.json and MPI exactly, and reading it back costs a rank no heavy imports."""

import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.schema import Job, RowFormat, RunConfig
from mpibatch.config.serialize import from_json, to_json
from mpibatch.config.values import Size
from mpibatch.errors import RunDirectoryError

TEXT = st.text(max_size=10)  # lone surrogates included
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS: st.SearchStrategy[object] = TEXT | st.integers() | FINITE | st.booleans()


def builds(kind: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An instance with every field drawn by its annotation."""
    drawn = {field.name: ... for field in fields(kind) if field.name not in given}
    return st.builds(kind, **drawn, **given)


CONFIGS = builds(
    RunConfig,
    allowed_failed_percent=FINITE,
    run_invocation_timeout=FINITE,
    load_timeout=FINITE,
    init_timeout=FINITE,
    grace=FINITE,
    rank_timeout=FINITE,
    mini_batch_size=st.none() | builds(Size),
    append_row_format=builds(RowFormat),
)
JOBS = builds(Job, parameters=st.dictionaries(TEXT, SCALARS, max_size=3), config=CONFIGS)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(JOBS)
def test_every_job_is_read_back_as_it_was(job: Job) -> None:
    text = to_json(job)
    assert from_json(text) == job
    assert to_json(from_json(text)) == text
    assert text.isascii()


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "3", '{"name": 1}', '{"nonsense": 1}', "[" * 100000, "\x1b"])
def test_a_damaged_record_is_told_as_such(text: str) -> None:
    with pytest.raises(RunDirectoryError, match="record of the job cannot be read"):
        from_json(text)


@pytest.mark.parametrize(
    "module", ["config.serialize", "config.script", "config.settings", "config.units", "config.template", "runs.resume"]
)
def test_light_modules_import_neither_pydantic_nor_yaml(module: str) -> None:
    code = f"import sys, mpibatch.{module}; print({{'pydantic', 'yaml', 'numpy'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
