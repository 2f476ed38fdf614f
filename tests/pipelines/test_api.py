"""Pipelines that programs build: what they say as plain data, and runs that go on by themselves."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mpibatch.config.pipeline import begin_step
from mpibatch.errors import JobFileError, UsageError
from mpibatch.pipelines.api import (
    Experiment,
    OutputFileDatasetConfig,
    ParallelRunConfig,
    ParallelRunStep,
    Pipeline,
    PipelineData,
    PipelineOutputFileDataset,
    PipelineParameter,
    PipelineRunError,
    PublishedPipeline,
    PythonScriptStep,
    RunDetails,
    StepSequence,
)
from mpibatch.sdk.column_types import DataType
from mpibatch.sdk.consumption import DatasetConsumptionConfig
from mpibatch.sdk.dataset import Dataset
from mpibatch.sdk.workspace import Workspace
from tests.conftest import ROOT, wait_for
from tests.pipelines.conftest import HELPER, PREPARE, REPORT, SCORE


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """In a folder of its own, with three files in data/ and the scripts in scripts/."""
    monkeypatch.setenv("MPIBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for number in range(3):
        (tmp_path / "data" / f"{number}.txt").write_text("x" * number)
    (tmp_path / "scripts").mkdir()
    for name, text in [("score", SCORE), ("helper", HELPER), ("prepare", PREPARE), ("report", REPORT)]:
        (tmp_path / "scripts" / f"{name}.py").write_text(text)
    return Workspace.from_config()


def tutorial(workspace: Workspace, **config: Any) -> tuple[Pipeline, PipelineData]:
    """A dataset as a parameter, its size and its processes too: what ParallelRunStep's tutorial builds."""
    dataset = Dataset.File.from_files(path="data/*.txt", validate=False)
    consumed = DatasetConsumptionConfig("texts", PipelineParameter("texts_param", dataset)).as_mount()
    output = PipelineData(name="inferences", datastore=workspace.get_default_datastore())
    settings = ParallelRunConfig(
        source_directory="scripts",
        entry_script="score.py",
        mini_batch_size=PipelineParameter("batch_size_param", "5"),
        error_threshold=10,
        output_action="append_row",
        append_row_file_name="outputs.txt",
        compute_target=workspace.compute_targets["cpucluster"],
        process_count_per_node=PipelineParameter("process_count_param", default_value=1),
        node_count=1,
        **config,
    )
    step = ParallelRunStep(
        name="predict-digits", parallel_run_config=settings, inputs=[consumed], output=output, allow_reuse=True
    )
    return Pipeline(workspace=workspace, steps=[step]), output


def test_a_program_is_the_plain_data_of_a_file(workspace: Workspace, tmp_path: Path) -> None:
    pipeline, _ = tutorial(workspace)
    assert pipeline.to_data("digits") == {
        "name": "digits",
        "parameters": {
            "texts_param": {"type": "files", "path": str(tmp_path / "data" / "*.txt")},
            "batch_size_param": "5",
            "process_count_param": 1,
        },
        "steps": [
            {
                "name": "predict-digits",
                "inputs": {"texts": "${{ parameters.texts_param }}"},
                "parallel_run_config": {
                    "source_directory": str(tmp_path / "scripts"),
                    "entry_script": "score.py",
                    "error_threshold": 10,
                    "output_action": "append_row",
                    "node_count": 1,
                    "process_count_per_node": "${{ parameters.process_count_param }}",
                    "mini_batch_size": "${{ parameters.batch_size_param }}",
                    "logging_level": "INFO",
                    "run_invocation_timeout": 60,
                    "run_max_try": 3,
                    "append_row_file_name": "outputs.txt",
                },
                "allow_reuse": True,
                "outputs": {"inferences": {}},
            }
        ],
    }
    assert pipeline.validate() == []
    again = Pipeline.from_data(workspace, pipeline.to_data("digits"), tmp_path)
    assert again.check() == pipeline.check("digits")


def test_three_steps_and_what_is_not_listed_is_pulled_in(workspace: Workspace) -> None:
    """Outputs name their folder: all of a step's where it has one, else one below it."""
    prepared, log = OutputFileDatasetConfig("prepared"), PipelineData("log")
    prepare = PythonScriptStep(
        "prepare.py",
        name="prepare",
        arguments=["--out", prepared, "--log", log],
        outputs=[log],
        source_directory="scripts",
    )
    scored = PipelineData("scored")
    settings = ParallelRunConfig(entry_script="scripts/score.py", partition_keys=None)
    assert settings.settings()["process_count_per_node"] == 1, "as in Azure; a job file has auto"
    score = ParallelRunStep("score", settings, inputs=[prepared.as_input("texts")], output=scored)
    report = PythonScriptStep("report.py", arguments=[scored], inputs=[scored], source_directory="scripts")
    data = Pipeline(workspace, [report]).to_data()
    steps = {step["name"]: step for step in data["steps"]}
    assert set(steps) == {"prepare", "score", "report-py"}
    assert steps["prepare"]["arguments"] == [
        "--out", "${{ steps.prepare.output }}/prepared", "--log", "${{ steps.prepare.output }}/log"
    ]  # fmt: skip
    assert steps["prepare"]["outputs"] == {"log": {"folder": "log"}, "prepared": {"folder": "prepared"}}
    assert steps["score"]["inputs"] == {"texts": {"type": "files", "path": "${{ steps.prepare.output }}/prepared"}}
    assert steps["report-py"]["side_inputs"] == {"scored": {"path": "${{ steps.score.output }}"}}
    assert steps["report-py"]["arguments"] == ["${{ side_inputs.scored }}"]
    assert [step.name for step in Pipeline(workspace, [report]).check().steps] == ["prepare", "score", "report-py"]
    assert score.needs() == [prepare]


def test_an_output_as_a_table(workspace: Workspace) -> None:
    """All settings of Azure's methods are in the step that reads it, and it can be begun."""
    made = OutputFileDatasetConfig("made")
    prepare = PythonScriptStep("prepare.py", name="prepare", arguments=["--out", made], source_directory="scripts")
    dated = PipelineOutputFileDataset(made).parse_delimited_files(
        separator=";",
        header=False,
        include_path=True,
        partition_format="{day:yyyy/MM/dd}/*.csv",
        set_column_types={"a": DataType.to_string()},
        quoted_line_breaks=True,
    )
    folder = "${{ steps.prepare.output }}"
    tables = {
        "dated": (
            dated.drop_columns("b"),
            {"type": "csv", "path": f"{folder}/{{day:3}}/*.csv", "delimiter": ";", "has_header": False}
            | {"quoted_newlines": True, "path_column": "Path", "column_types": {"a": "string"}, "drop_columns": ["b"]},
        ),
        "plain": (made.read_delimited_files(path_glob="part-*.tsv"), {"type": "csv", "path": f"{folder}/part-*.tsv"}),
        "parts": (
            PipelineOutputFileDataset(made).parse_parquet_files(file_extension=".parquet").keep_columns(["a"]),
            {"type": "parquet", "path": f"{folder}/**/*.parquet", "columns": ["a"]},
        ),
    }
    settings = ParallelRunConfig(entry_script="scripts/score.py", mini_batch_size="1MB")
    for name, (table, expected) in tables.items():
        step = ParallelRunStep(name, settings, inputs=[table.as_input(name)], output=PipelineData(f"{name}-scored"))
        steps = {entry["name"]: entry for entry in Pipeline(workspace, [step]).to_data()["steps"]}
        assert steps[name]["inputs"] == {name: expected}
        assert Pipeline(workspace, [prepare, step]).validate() == []


def test_a_sequence_runs_one_after_another(workspace: Workspace) -> None:
    steps = [PythonScriptStep("prepare.py", name=name, source_directory="scripts") for name in ("aaa", "bbb", "ccc")]
    checked = Pipeline(workspace, StepSequence(steps[::-1])).check()
    assert [step.name for step in checked.steps] == ["ccc", "bbb", "aaa"]


def test_what_is_refused(workspace: Workspace) -> None:
    pipeline, output = tutorial(workspace)
    with pytest.raises(UsageError, match='there is no parameter "texts"'):
        pipeline.check(values={"texts": 1})
    with pytest.raises(UsageError, match="is filled by step 'predict-digits'"):
        PythonScriptStep("report.py", outputs=[output], source_directory="scripts")
    with pytest.raises(UsageError, match="no step makes it"):
        Pipeline(workspace, [PythonScriptStep("report.py", arguments=[PipelineData("never")])]).to_data()
    with pytest.raises(UsageError, match="has no inputs"):
        ParallelRunStep("one", ParallelRunConfig(entry_script="scripts/score.py"), inputs=[])
    twice = [PythonScriptStep("prepare.py", name="same", source_directory="scripts") for _ in range(2)]
    with pytest.raises(JobFileError, match='two steps are called "same"'):
        Pipeline(workspace, twice).check()
    assert "there is no file" in Pipeline(workspace, [PythonScriptStep("none.py", name="none")]).validate()[0]


@pytest.mark.processes
def test_the_tutorials_two_submissions(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder; then one file, size 1; then the first again, which is reused. Another process sees the same."""
    pipeline, _ = tutorial(workspace)
    experiment = Experiment(workspace, "digit_identification")
    run = experiment.submit(pipeline, tags={"who": "me"})
    RunDetails(run).show()
    assert run.wait_for_completion(show_output=True) == "Finished"
    assert "pipeline digit-identification completed" in capsys.readouterr().out
    step = next(run.get_children())
    assert (step.name, step.get_status(), step.is_reused) == ("predict-digits", "Finished", False)
    assert run.find_step_run("predict-digits")[0].id == step.id
    assert run.find_step_run("other") == []
    output = step.get_output_data("inferences")
    assert output.download(local_path="results") == 1
    rows = tmp_path / "results" / output.path_on_datastore / "outputs.txt"
    assert rows == tmp_path / "results" / "azureml" / step.id / "inferences" / "outputs.txt"
    assert rows.read_text().splitlines() == ["0.txt 0", "1.txt 1", "2.txt 2"]
    assert run.tags == {"who": "me"}
    run.tag("quality", "good")
    with pytest.raises(UsageError, match="has no output 'inference'; did you mean inferences"):
        step.get_output_data("inference")

    single = Dataset.File.from_files(path="data/2.txt", validate=False)
    single._ensure_saved(workspace)
    second = experiment.submit(
        pipeline,
        pipeline_parameters={"texts_param": single, "batch_size_param": "1", "process_count_param": 1},
    )
    assert second.wait_for_completion(show_output=False) == "Finished"
    (rows,) = second.directory.path.glob("steps/*/outputs/outputs.txt")
    assert rows.read_text() == "2.txt 2\n"

    third = experiment.submit(pipeline)
    assert third.wait_for_completion(show_output=False) == "Finished"
    assert next(third.get_children()).is_reused

    program = (
        "import sys\nfrom mpibatch.sdk.workspace import Workspace\nfrom mpibatch.pipelines.api import PipelineRun\n"
        "run = PipelineRun.get(Workspace(), sys.argv[1])\n"
        "print(run.get_status(), run.get_tags(), next(run.get_children()).name, run.wait_for_completion(False))"
    )
    told = subprocess.run([sys.executable, "-c", program, run.id], capture_output=True, text=True, check=True)
    assert told.stdout == "Finished {'who': 'me', 'quality': 'good'} predict-digits Finished\n"
    assert [found.id for found in experiment.get_runs()] == [third.id, second.id, run.id]
    assert PublishedPipeline.get(workspace, run.publish_pipeline("kept").id).pipeline.check().steps


@pytest.mark.processes
def test_a_failed_run_raises_with_the_scripts_own_words(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "bad.py").write_text("raise ValueError('no paper')\n")
    step = PythonScriptStep("bad.py", name="Bad Step", source_directory="scripts")
    run = Experiment(workspace, "failing").submit(Pipeline(workspace, [step]))
    with pytest.raises(PipelineRunError, match=r"Traceback[\s\S]*ValueError: no paper"):
        run.wait_for_completion(show_output=False)
    assert run.get_status() == "Failed"
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Failed"
    assert run.find_step_run("Bad Step")[0].get_status() == "Failed"


@pytest.mark.processes
def test_cancel_ends_a_run_from_another_process(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "long.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(1000)\n")
    step = PythonScriptStep("long.py", name="long", source_directory="scripts")
    run = Experiment(workspace, "cancelled").submit(Pipeline(workspace, [step]))
    wait_for(lambda: list(run.directory.path.glob("steps/long/logs/user/stdout/*/rank0.txt")))
    assert run.get_status() == "Running"
    with pytest.raises(TimeoutError, match="it goes on"):
        run.wait_for_completion(show_output=False, timeout_seconds=0.1)
    program = (
        "import sys\nfrom mpibatch.azureml.core import Workspace\n"
        "from mpibatch.azureml.pipeline.core import PipelineRun\n"
        "PipelineRun.get(Workspace.from_config(), sys.argv[1]).cancel()"
    )
    subprocess.run([sys.executable, "-c", program, run.id], check=True)
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Canceled"
    assert json.loads((run.directory.path / "summary.json").read_text())["state"] == "canceled"


@pytest.mark.processes
def test_each_output_is_published_and_becomes_a_dataset_of_its_own(workspace: Workspace, tmp_path: Path) -> None:
    store = workspace.get_default_datastore()
    output = OutputFileDatasetConfig("made", destination=(store, "made/{run-id}/{output-name}"))
    output = output.register_on_complete("made-texts")
    other = OutputFileDatasetConfig("other").register_on_complete("other-texts")
    (tmp_path / "scripts" / "make.py").write_text(
        "import os, sys\nassert sys.argv[1] == os.environ['AZUREML_BI_OUTPUT_PATH'] + '/made'\n"
        "open(sys.argv[1] + '/one.txt', 'w').write('1')\nopen(sys.argv[2] + '/two.txt', 'w').write('2')\n"
    )
    step = PythonScriptStep("make.py", name="make", arguments=[output, other], source_directory="scripts")
    run = Experiment(workspace, "publishing").submit(Pipeline(workspace, [step]))
    assert run.wait_for_completion(show_output=False) == "Finished"
    made = Path(store.address, "made", run.id, "made", "one.txt")
    assert made.read_text() == "1"
    assert Dataset.get_by_name(workspace, "made-texts").to_path() == ["/one.txt"]
    assert Dataset.get_by_name(workspace, "other-texts").to_path() == ["/two.txt"]
    assert os.path.samefile(made, next(run.get_children()).get_output_data("made").path / "one.txt"), "a hard link"
    assert run.get_pipeline_output("other").download(str(tmp_path / "back")) == 1


@pytest.mark.processes
def test_a_script_step_has_a_run_and_its_pipeline(workspace: Workspace, tmp_path: Path) -> None:
    """Azure's modules are there under their own names; what an earlier step has put out is found by the parent."""
    (tmp_path / "scripts" / "first.py").write_text(
        "import os\nopen(os.environ['AZUREML_BI_OUTPUT_PATH'] + '/one.txt', 'w').write('1')\n"
    )
    (tmp_path / "scripts" / "second.py").write_text(
        "from azureml.core import Run\nfrom azureml.pipeline.core import PipelineRun\n"
        "run = Run.get_context()\nrun.log('metric', 3)\n"
        "assert isinstance(run.parent, PipelineRun) and run.experiment.name == 'with context'\n"
        "print(run.parent.find_step_run('first')[0].get_output_data('out').download('.'))\n"
    )
    out = PipelineData("out")
    first = PythonScriptStep("first.py", name="first", outputs=[out], source_directory="scripts")
    second = PythonScriptStep("second.py", name="second", source_directory="scripts")
    second.run_after(first)
    run = Experiment(workspace, "with context").submit(Pipeline(workspace, second))
    assert run.wait_for_completion(show_output=False) == "Finished"
    (log,) = (run.directory.path / "steps/second/logs/user/stdout").glob("*/rank0.txt")
    assert log.read_text() == "1\n"


def test_a_dataset_parameter_is_what_was_submitted_wherever_it_stands(workspace: Workspace, tmp_path: Path) -> None:
    """As argument, as side input, as input of a script; not the default."""
    parameter = PipelineParameter("texts", Dataset.File.from_files("data/*.txt", validate=False))
    side = DatasetConsumptionConfig("side", parameter).as_mount()
    settings = ParallelRunConfig(entry_script="scripts/score.py")
    main = Dataset.File.from_files("data/0.txt", validate=False)
    score = ParallelRunStep("score", settings, inputs=[main], side_inputs=[side], arguments=["--side", side])
    script = PythonScriptStep(
        "prepare.py", name="prepare", source_directory="scripts", arguments=[parameter], inputs=[side]
    )
    other = tmp_path / "other"
    other.mkdir()
    pipeline = Pipeline(workspace, [score, script])
    for values, path in (({}, tmp_path / "data"), ({"texts": Dataset.File.from_files(str(other), False)}, other)):
        checked = pipeline.check(values=values)
        steps = [begin_step(checked, step, {"score": "/o", "prepare": "/o"}) for step in checked.steps]
        assert [{one.name: one.path for one in step.side_inputs}["side"] for step in steps] == [str(path)] * 2
        assert [step.arguments[-1] for step in steps] == [str(path)] * 2


@pytest.mark.processes
def test_a_script_step_opens_its_input_datasets(workspace: Workspace, tmp_path: Path) -> None:
    """Tables as datasets, mounted files as paths; a change of either would run it again."""
    (tmp_path / "table.csv").write_text("a,b\n1,x\n2,y\n")
    table = Dataset.Tabular.from_delimited_files("table.csv").drop_columns("b").as_named_input("table")
    texts = Dataset.File.from_files("data/*.txt", validate=False).as_named_input("texts")
    (tmp_path / "scripts" / "look.py").write_text(
        "import sys\nfrom azureml.core import Run\ngiven = Run.get_context().input_datasets\n"
        "assert given['mounted'] == sys.argv[1], given\n"
        "print(given['table'].to_pandas_dataframe().to_dict('list'), given['texts'].to_path())\n"
    )
    mounted = texts.as_mount().as_named_input("mounted")
    step = PythonScriptStep(
        "look.py", name="look", source_directory="scripts", inputs=[table, texts], arguments=[mounted]
    )
    run = Experiment(workspace, "looking").submit(Pipeline(workspace, [step]))
    assert run.wait_for_completion(show_output=False) == "Finished"
    (log,) = (run.directory.path / "steps/look/logs/user/stdout").glob("*/rank0.txt")
    assert log.read_text() == "{'a': [1, 2]} ['/0.txt', '/1.txt', '/2.txt']\n"


def test_a_program_may_log_without_a_pipeline(workspace: Workspace) -> None:
    run = Experiment(workspace, "training run").start_logging(snapshot_directory=".")
    run.log("accuracy", 0.9)
    run.complete()
    assert (run.experiment.name, run.get_metrics(), run.get_status()) == (
        "training run",
        {"accuracy": 0.9},
        "Completed",
    )
    assert run._directory.parent == Path(workspace.home, "runs", "training-run")
    assert list(Experiment(workspace, "training run").get_runs()) == [], "those are pipelines"
