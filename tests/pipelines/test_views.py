"""What is seen of a pipeline's run: status, the list of runs, its report, in a notebook."""

import json
import re
from pathlib import Path

import pytest
import yaml

from mpibatch.config.pipeline import load_pipeline
from mpibatch.pipelines.api.run_details import as_html
from mpibatch.pipelines.directory import PipelineDirectory, RunOptions, create_run
from mpibatch.pipelines.report import write_report
from mpibatch.pipelines.status import as_text, read_status
from tests.conftest import Job
from tests.pipelines.conftest import Run, write

pytestmark = pytest.mark.processes


@pytest.mark.ci
def test_every_view_of_a_run_that_failed(run: Run, job: Job) -> None:
    """The last step fails by itself; names and words of scripts are hostile to terminals and browsers."""
    write(job.folder)
    (job.folder / "reporting" / "report.py").write_text("raise SystemExit('<script>alert(1)</script>\\x1b[2J')\n")
    failed = run()
    assert failed.status == 3, failed.said()
    path = failed.run_dir

    shown = job.finish(job.command("status", path), path).stdout
    assert shown.splitlines()[0] == "three-steps: failed, 2 of 3 steps complete"
    assert re.search(r"^  score: completed [\d.]+ m?s, 3 mini-batches, 6 items$", shown, re.MULTILINE)
    assert f"once mended   mpibatch resume {path}" in shown
    assert "\x1b" not in shown

    listed = job.finish(job.command("runs", path.parent), path).stdout.splitlines()
    assert listed[0].split() == ["RUN", "NAME", "STATE", "AGE", "STEPS"]
    assert listed[1].endswith("prepare completed, score completed, report failed")
    assert len(listed) == 2, "there are no runs of single jobs"

    page = (path / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    for target in re.findall(r'<a href="([^"]*)">', page):
        assert (path / target).exists()
    assert 'href="steps/score/report.html"' in page
    assert re.search(r'href="steps/report/logs/user/stderr/[^"]*/rank0.txt">stderr<', page)

    elsewhere = job.folder / "elsewhere" / "page.html"
    elsewhere.parent.mkdir()
    assert job.finish(job.command("report", path, "--output", elsewhere), path).stdout.strip() == str(elsewhere)
    assert f'href="../runs/{path.name}/steps/score/report.html"' in elsewhere.read_text()

    refused = job.finish(job.command("failures", path), path)
    assert refused.status == 2
    assert f"`mpibatch failures {path}/steps/NAME` is for one of them" in refused.stderr

    status = json.loads(job.finish(job.command("status", path, "--json"), path).stdout)
    assert [step["state"] for step in status["steps"]] == ["completed", "completed", "failed"]

    cleaned = job.finish(job.command("clean", path), path)
    assert cleaned.status == 0, cleaned.said()
    assert cleaned.stdout.startswith("step score: ")

    seen = as_html(PipelineDirectory(path))
    assert "<script>" not in seen
    assert "6 succeeded" in seen, "the parallel step is shown as a job's run is"


@pytest.mark.ci
def test_runs_of_jobs_and_pipelines_are_listed_together(job: Job) -> None:
    write(job.folder)
    job.write("def run(mini_batch):\n    return mini_batch\n", 1)
    (job.folder / "pipeline.yaml").write_text(
        yaml.safe_dump({"name": "one-step", "steps": [{"name": "prepare", "script": "preparing/none.py"}]})
    )
    (job.folder / "preparing" / "none.py").touch()
    for file, name in (("pipeline.yaml", "a"), ("job.yaml", "b")):
        done = job.finish(job.command("run", file, "--run-dir", f"runs/{name}", "-n", "1"), job.folder)
        assert done.status == 0, done.said()
    listed = job.finish(job.command("runs"), job.folder).stdout.splitlines()
    assert [line.split()[:3] for line in listed if line] == [
        ["RUN", "NAME", "STATE"],
        ["a", "one-step", "completed"],
        ["RUN", "NAME", "STATE"],
        ["b", "tested", "completed"],
    ]


@pytest.mark.ci
def test_a_resume_with_the_copy_of_the_scripts(run: Run, job: Job, tmp_path: Path) -> None:
    """`--script copy`: as they were when the run began; what failed is tried again where that is asked for."""
    write(job.folder)
    (job.folder / "scoring" / "score.py").write_text(
        "import os\ndef run(mini_batch):\n"
        "    if not os.path.exists(os.environ['GATE']) and '05' in mini_batch[-1]:\n"
        "        raise ValueError('closed')\n    return ['first' for path in mini_batch]\n"
    )
    gate = tmp_path / "gate"
    failed = run(variables={"GATE": str(gate)})
    assert failed.status == 3, failed.said()
    gate.touch()
    (job.folder / "scoring" / "score.py").write_text(
        "def run(mini_batch):\n    return ['new' for path in mini_batch]\n"
    )
    command = job.command("resume", failed.run_dir, "--script", "copy", "--retry-failed")
    resumed = job.finish(command, failed.run_dir, variables={"GATE": str(gate)})
    assert resumed.status == 0, resumed.said()
    assert "has changed" not in resumed.stderr
    rows = (failed.run_dir / "steps/score/outputs/parallel_run_step.txt").read_text()
    assert rows == "first\n" * 6


def test_a_run_that_waits_shows_its_steps(job: Job) -> None:
    """Before a runner has begun it, in the queue of Slurm for instance."""
    write(job.folder)
    pipeline = load_pipeline(job.folder / "pipeline.yaml")
    directory = create_run(pipeline, job.folder / "runs" / "waiting", RunOptions())
    status = read_status(directory)
    assert [(step.name, step.kind, step.state) for step in status.steps] == [
        ("prepare", "script", "waiting"),
        ("score", "parallel", "waiting"),
        ("report", "script", "waiting"),
    ]
    assert as_text(directory, status).startswith("three-steps: waiting, 0 of 3 steps complete\n  prepare: waiting\n")
    assert "<h1>three-steps" in write_report(directory).read_text()
