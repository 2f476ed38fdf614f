"""Each job of this repository as YAML and as a program: the same job data, and so the same plan and the same bytes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mpibatch.cluster.environment import without_launcher_variables
from mpibatch.config.load import load_job
from mpibatch.config.pipeline import begin_step, load_pipeline
from mpibatch.config.pipeline_schema import Pipeline, ScriptStep
from mpibatch.config.schema import Job
from mpibatch.pipelines.api import Experiment
from mpibatch.sdk.model import Model
from mpibatch.sdk.workspace import Workspace
from mpibatch.workspace.registered import RegisteredInWorkspace
from tests.jobs.python_forms import JOB_FORMS, JOBS, PIPELINE_FORMS

ROOT = JOBS.parent


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """With the model of digits registered."""
    monkeypatch.setenv("MPIBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.chdir(tmp_path)
    workspace = Workspace()
    Model.register(workspace, str(JOBS / "digits/model/digits.keras"), "digits")
    return workspace


def steps(pipeline: Pipeline) -> list[Job | ScriptStep]:
    """Ready to run, with outputs in folders of their own; without what says where they come from."""
    outputs = {step.name: f"/outputs-of-earlier-steps/{step.name}" for step in pipeline.steps}
    found = [begin_step(pipeline, step, outputs, RegisteredInWorkspace(os.environ)) for step in pipeline.steps]
    return [plain(step) if isinstance(step, Job) else step for step in found]


def plain(job: Job) -> Job:
    return replace(job, parameters={}, output="", file="")


@pytest.mark.parametrize("name", JOB_FORMS)
def test_a_program_is_the_job_of_the_file(workspace: Workspace, name: str) -> None:
    (job,) = steps(JOB_FORMS[name](workspace).check())
    assert job == plain(load_job(JOBS / name / "job.yaml"))


@pytest.mark.parametrize("name", PIPELINE_FORMS)
def test_a_program_is_the_pipeline_of_the_file(workspace: Workspace, name: str) -> None:
    """But for the one thing that a program cannot say: a file in an output."""
    file = load_pipeline(JOBS / name / "pipeline.yaml", registered=RegisteredInWorkspace(os.environ))
    wanted = steps(file)
    if name == "wine":
        assert isinstance(wanted[1], Job)
        (scaled,) = wanted[1].inputs
        wanted[1] = replace(wanted[1], inputs=(replace(scaled, paths=(os.path.dirname(scaled.paths[0]),)),))
    assert steps(PIPELINE_FORMS[name](workspace).check()) == wanted


def run_file(file: Path, run_dir: Path) -> None:
    command = [sys.executable, "-m", "mpibatch", "run", str(file), "--run-dir", str(run_dir), "-n", "1"]
    environment = without_launcher_variables(os.environ)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def content(folder: Path) -> dict[str, bytes]:
    """Every file of an output."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def alike(one: Path, other: Path) -> None:
    """The run directories of two steps have the same plan and the same output."""
    assert content(one / "outputs") == content(other / "outputs")
    assert content(one / "outputs")
    plans = [folder / "plan.parquet" for folder in (one, other)]
    assert [plan.exists() for plan in plans] in ([True, True], [False, False])
    if plans[0].exists():
        assert pq.read_table(plans[0]).equals(pq.read_table(plans[1]))


@pytest.mark.ci
@pytest.mark.processes
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", JOB_FORMS)
def test_a_job_gives_the_same_bytes_and_plan(workspace: Workspace, tmp_path: Path, name: str) -> None:
    """By `mpibatch run` on one rank, and by a program on as many as there are cores."""
    run_file(JOBS / name / "job.yaml", tmp_path / "run")
    run = Experiment(workspace, name).submit(JOB_FORMS[name](workspace))
    run.wait_for_completion(show_output=False)
    (step,) = run.get_steps()
    alike(tmp_path / "run", step.directory.path)


@pytest.mark.ci
@pytest.mark.processes
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PIPELINE_FORMS)
def test_a_pipeline_gives_the_same_bytes(workspace: Workspace, tmp_path: Path, name: str) -> None:
    run_file(JOBS / name / "pipeline.yaml", tmp_path / "run")
    run = Experiment(workspace, name).submit(PIPELINE_FORMS[name](workspace))
    run.wait_for_completion(show_output=False)
    for step in run.get_steps():
        there, here = tmp_path / "run" / "steps" / step.slug, step.directory.path
        assert content(there / "outputs") == content(here / "outputs")
        assert content(here / "outputs")
