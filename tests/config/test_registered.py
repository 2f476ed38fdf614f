"""`model: NAME` in side_inputs and `dataset: NAME` in inputs: what they stand for, and what is wrong with one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.load import job_from_data
from mpibatch.config.schema import Input, Job, SideInput
from mpibatch.config.serialize import from_json, to_json
from mpibatch.errors import JobFileError, WorkspaceError

TABLE = {"type": "csv", "path": ["/data/sales"], "delimiter": ";"}


class Workspace:
    """One with the model digits:3 and the dataset sales:2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model(self, reference: str) -> tuple[str, str]:
        if reference not in ("digits", "digits:3"):
            raise WorkspaceError(f"there is no model {reference!r}: there are digits")
        return "digits:3", str(self.folder / "weights")

    def dataset(self, reference: str) -> tuple[str, dict[str, Any]]:
        if reference not in ("sales", "sales:2"):
            raise WorkspaceError(f"there is no dataset {reference!r}: there are sales")
        return "sales:2", dict(TABLE)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Job]:
    (tmp_path / "score.py").write_text("def run(mini_batch): return mini_batch\n")
    (tmp_path / "weights").write_text("w")

    def load(**data: Any) -> Job:
        counted = {} if "inputs" in data else {"mini_batch_count": 1}
        data = {"name": "job", **data, "parallel_run_config": {"entry_script": "score.py", **counted}}
        return job_from_data(data, tmp_path, registered=Workspace(tmp_path))

    return load


@pytest.mark.parametrize("reference", ["digits", "digits:3"])
def test_a_model_is_its_path_and_the_version_of_now(load: Callable[..., Job], tmp_path: Path, reference: str) -> None:
    """The version is in the job, so that run.json keeps it and a resume does not take another."""
    job = load(side_inputs={"m": {"model": reference}}, arguments=["${{ side_inputs.m }}"])
    assert job.side_inputs == (SideInput("m", str(tmp_path / "weights"), model="digits:3"),)
    assert job.arguments == (str(tmp_path / "weights"),)


@pytest.mark.parametrize(
    ("entry", "more"),
    [
        ({"dataset": "sales"}, {}),
        ({"dataset": "sales:2", "columns": ["price"]}, {"columns": ("price",)}),
        ({"dataset": "sales", "delimiter": "|"}, {"delimiter": "|"}),
        ({"dataset": "${{ parameters.which }}"}, {}),
    ],
)
def test_a_dataset_is_its_entry_and_the_version_of_now(
    load: Callable[..., Job], entry: dict[str, Any], more: dict[str, Any]
) -> None:
    """What stands beside it takes the place of its own; a resume finds it in run.json as it was."""
    job = load(inputs={"rows": entry}, parameters={"which": "sales:2"})
    settings = {"delimiter": ";", "dataset": "sales:2", **more}
    assert job.inputs == (Input("rows", InputType.CSV, ("/data/sales",), **settings),)
    assert from_json(to_json(job)) == job


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            {"side_inputs": {"m": {"model": "digit"}}},
            r"side_inputs\.m\.model cannot be used: there is no model 'digit': there are digits",
        ),
        (
            {"side_inputs": {"m": {"model": "digits", "path": "weights"}}},
            r"side_inputs\.m\.model cannot be combined with path",
        ),
        ({"side_inputs": {"m": {"model": 3}}}, r"side_inputs\.m\.model is 3; it must be text"),
        ({"side_inputs": {"m": {}}}, r"side_inputs\.m\.path is missing; .* or give model: NAME"),
        (
            {"inputs": {"d": {"dataset": "sale"}}},
            r"inputs\.d\.dataset cannot be used: there is no dataset 'sale': there are sales",
        ),
        (
            {"inputs": {"d": {"dataset": "sales", "type": "csv"}}},
            r"inputs\.d\.dataset cannot be combined with type; keep one of the two",
        ),
        ({"inputs": {"d": {"dataset": 3}}}, r"inputs\.d\.dataset is 3; it must be text"),
        ({"inputs": {"d": {"path": "x"}}}, r"inputs\.d\.type is missing; .*; or give dataset: NAME"),
    ],
)
def test_one_problem_each(load: Callable[..., Job], data: dict[str, Any], problem: str) -> None:
    """Said once, where it is, with what to do."""
    with pytest.raises(JobFileError, match=problem) as raised:
        load(**data)
    assert len(raised.value.problems) == 1
