"""The jobs of this repository as programs with Azure's classes: each says what its YAML file says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpibatch.pipelines.api import (
    OutputFileDatasetConfig,
    ParallelRunConfig,
    ParallelRunStep,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
)
from mpibatch.sdk.column_types import DataType
from mpibatch.sdk.consumption import DatasetConsumptionConfig
from mpibatch.sdk.dataset import Dataset
from mpibatch.sdk.model import Model
from mpibatch.sdk.workspace import Workspace

JOBS = Path(__file__).parents[2] / "jobs"
QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}


def files(path: Path, name: str) -> Any:
    return Dataset.File.from_files(str(path), validate=False).as_named_input(name)


def config(folder: Path, script: str, **settings: Any) -> ParallelRunConfig:
    return ParallelRunConfig(
        source_directory=folder, entry_script=script, **{"process_count_per_node": "auto", **settings}
    )


def digits(workspace: Workspace) -> Pipeline:
    """Files, a file as side input, a parameter."""
    folder = JOBS / "digits"
    model = files(folder / "model/digits.keras", "model")
    settings = config(
        folder,
        "digit_identification.py",
        mini_batch_size=PipelineParameter("batch_size", 10),
        error_threshold=10,
        run_invocation_timeout=120,
        environment_variables=QUIET_TENSORFLOW,
    )
    step = ParallelRunStep(
        "predict-digits",
        settings,
        inputs=[files(folder / "data/*.png", "digits")],
        side_inputs=[model],
        arguments=["--model", model],
    )
    return Pipeline(workspace, [step])


def field(workspace: Workspace) -> Pipeline:
    """HDF5, for which Azure has no dataset: an entry of `inputs:` as it is."""
    folder = JOBS / "field"
    steps = {"type": "hdf5", "path": str(folder / "data/heat.h5"), "datasets": ["time", "fields/temperature"]}
    settings = config(folder, "describe.py", mini_batch_size="40 rows", append_row_file_name="features.parquet")
    step = ParallelRunStep("describe-field", settings, inputs=[DatasetConsumptionConfig("steps", steps)])
    return Pipeline(workspace, [step])


def iris(workspace: Workspace) -> Pipeline:
    """A table with a declared type, and a side input that is copied to each node."""
    folder = JOBS / "iris"
    types = {"flower": DataType.to_string()}
    flowers = Dataset.Tabular.from_delimited_files(
        str(folder / "data/flowers.csv"), validate=False, set_column_types=types
    )
    model = files(folder / "model.json", "model").as_download()
    settings = config(folder, "predict.py", mini_batch_size="1KB", append_row_file_name="species.csv")
    step = ParallelRunStep(
        "predict-iris",
        settings,
        inputs=[flowers.as_named_input("flowers")],
        side_inputs=[model],
        arguments=["--model", model],
    )
    return Pipeline(workspace, [step])


def sales(workspace: Workspace) -> Pipeline:
    """Groups of rows, and no output file."""
    folder = JOBS / "sales"
    sales = Dataset.Tabular.from_delimited_files(str(folder / "data/*.csv"), validate=False)
    settings = config(folder, "fit.py", partition_keys=["shop", "product"], output_action="summary_only")
    return Pipeline(workspace, [ParallelRunStep("fit-sales", settings, inputs=[sales.as_named_input("sales")])])


def digits_pipeline(workspace: Workspace) -> Pipeline:
    """A dataset and a size as parameters, and a model of the workspace."""
    folder = JOBS / "digits"
    images = PipelineParameter("images", Dataset.File.from_files(str(folder / "data/*.png"), validate=False))
    model = DatasetConsumptionConfig("model", Model(workspace, "digits"))
    settings = config(
        folder,
        "digit_identification.py",
        mini_batch_size=PipelineParameter("batch_size", 50),
        error_threshold=10,
        append_row_file_name="mnist_outputs.txt",
        process_count_per_node=PipelineParameter("processes", 2),
        run_invocation_timeout=120,
        environment_variables=QUIET_TENSORFLOW,
    )
    step = ParallelRunStep(
        "predict-digits-mnist",
        settings,
        inputs=[DatasetConsumptionConfig("digits", images)],
        side_inputs=[model],
        arguments=["--model", model],
    )
    return Pipeline(workspace, [step])


def wine(workspace: Workspace) -> Pipeline:
    """Scripts before and after; what one step makes is the input of the next."""
    folder = JOBS / "wine"
    wines, growers = (
        files(folder / "data" / f"{name}.csv", name).as_mount() for name in ("wines", "growers")
    )  # as_mount: the script gets a path
    models = [files(folder / "data/model.json", "model").as_mount() for _ in range(2)]
    scaled, report_folder = OutputFileDatasetConfig("scaled"), OutputFileDatasetConfig("report")
    prepare = PythonScriptStep(
        "prepare.py",
        name="prepare",
        source_directory=folder / "prepare",
        arguments=["--wines", wines, "--model", models[0], "--out", scaled],
    )
    settings = config(
        folder / "score",
        "score.py",
        mini_batch_size="4KB",
        append_row_file_name="growers.csv",
        process_count_per_node=2,
    )
    score = ParallelRunStep(
        "score",
        settings,
        inputs=[scaled.read_delimited_files().as_input("scaled")],
        side_inputs=[models[1]],
        arguments=["--model", models[1]],
    )
    report = PythonScriptStep(
        "report.py",
        name="report",
        source_directory=folder / "report",
        arguments=[
            *("--scored", "${{ steps.score.output }}/growers.csv", "--growers", growers),
            *("--out", report_folder, "--needed", PipelineParameter("needed", 0.9)),
        ],
    )
    return Pipeline(workspace, [prepare, score, report])


JOB_FORMS: dict[str, Callable[[Workspace], Pipeline]] = {
    "digits": digits,
    "field": field,
    "iris": iris,
    "sales": sales,
}
PIPELINE_FORMS: dict[str, Callable[[Workspace], Pipeline]] = {"digits": digits_pipeline, "wine": wine}
